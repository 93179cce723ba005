import { afterEach, expect, test, vi } from 'vitest';
import { failureOf } from '../support/client.ts';
import { FaultyDaemon } from '../support/faulty-daemon.ts';
import { on } from '../support/pkcs11-shim.ts';
import { until } from '../support/wait.ts';

const KEY = 'adopted-0';
const NO_DATA = Buffer.alloc(0);
const data = Buffer.from('data');

vi.setConfig({ testTimeout: 120_000 });

let faulty: FaultyDaemon;

afterEach(() => faulty?.remove());

test('fault 13 [shim]: a MAC that is too short fails Sign, Verify and SignStream, and is never compared', async () => {
  // The canary's MACs are not the ones that are spoilt.
  faulty = await FaultyDaemon.start({ config: { health: { intervalMs: 60_000 } } });
  const { shim, plain, client } = faulty;
  const { signature = Buffer.alloc(0) } = await plain.sign({ key: KEY, data });
  async function* pieces() {
    yield data;
  }
  const calls: (() => Promise<unknown>)[] = [
    () => plain.sign({ key: KEY, data }),
    () => plain.sign({ key: KEY, data: NO_DATA }),
    () => plain.verify({ key: KEY, data, signature }),
    () => client.key(KEY).signStream(pieces()),
  ];

  for (const call of calls) {
    await shim.control(on('C_Sign', 'C_SignFinal').shorten(8, { times: 1 }));
    const faults = shim.faults('C_Sign') + shim.faults('C_SignFinal');

    await expect(call()).rejects.toThrow();

    expect(shim.faults('C_Sign') + shim.faults('C_SignFinal')).toBe(faults + 1);
  }
  await shim.control();
  expect(await plain.verify({ key: KEY, data, signature })).toMatchObject({ valid: true });
});

test('fault 13 [shim]: a module that begins to make wrong MACs is NOT_SERVING with the next canary, until it ends', async () => {
  faulty = await FaultyDaemon.start();
  await faulty.shim.control(on('C_Sign').flipBit());

  await faulty.healthBecomes('NOT_SERVING', 5_000);
  await until(() => faulty.hosts.length === 0);
  const failure = await failureOf(faulty.plain.sign({ key: KEY, data }));
  await faulty.shim.control();
  await faulty.healthBecomes('SERVING', 20_000);

  expect(failure).toMatchObject({ reason: 'TOKEN_UNAVAILABLE' });
  await faulty.signOnce(data);
});
