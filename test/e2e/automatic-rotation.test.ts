import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Client, connect, type Key } from '../../src/client/client.ts';
import { type Load, startLoad } from '../support/client-load.ts';
import { baseConfig, type Daemon, startDaemon } from '../support/daemon.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 });

/** Of a call that has to wait for the start of a token host on a machine that is busy with tests. */
const PATIENT = { deadlineMs: 30_000 };

const PERIOD_MS = 2_000;
const DAY_MS = 86_400_000;

const LIMIT = { timeout: 90_000, interval: 100 };

let softHsm: SoftHsm;
let daemons: Daemon[];
let clients: Client[];

beforeEach(() => {
  softHsm = createSoftHsm();
  daemons = [];
  clients = [];
});

afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await Promise.all(daemons.map((daemon) => daemon.stop()));
  softHsm.remove();
});

/** One more daemon on the token, and a client of its own for it. */
async function start(): Promise<Client> {
  const path = join(softHsm.directory, `${daemons.length}.sock`);
  const daemon = await startDaemon(softHsm, {
    config: {
      ...baseConfig(softHsm),
      listeners: [{ unix: path, mode: '0600', client: 'test' }],
      keys: { refreshIntervalMs: 1_000, minRotationPeriodMs: 1_000 },
    },
  });
  daemons.push(daemon);
  return connectTo(daemon);
}

function connectTo(daemon: Daemon): Client {
  const client = connect({ address: daemon.addresses[0] ?? '' });
  clients.push(client);
  return client;
}

function createKey(client: Client, name: string): Promise<Key> {
  return client.keys.create(name, 'HMAC_SHA256', { ...PATIENT, rotationPeriodMs: PERIOD_MS });
}

/** Callers who sign with one client and verify with another one. */
function startSigning(name: string, signer: Client, verifier: Client): Load {
  return startLoad(8, async (data) => {
    const signed = await signer.key(name).sign(data, PATIENT);
    const verified = await verifier.key(name).verify(data, signed.signature, PATIENT);
    if (verified.valid && verified.version === signed.version) return;
    throw new Error(`signed by ${signed.version}: ${JSON.stringify(verified)}`);
  });
}

async function newestOf(client: Client, name: string): Promise<number> {
  return (await client.keys.get(name, PATIENT)).versions[0]?.version ?? 0;
}

/** Has a key rotated no more. @returns the key when what has begun has come to its end */
async function rest(client: Client, name: string): Promise<Key> {
  await client.keys.update(name, { rotationPeriodMs: DAY_MS }, PATIENT);
  let key = await client.keys.get(name, PATIENT);
  await until(async () => {
    key = await client.keys.get(name, PATIENT);
    return key.versions.filter(({ state }) => state === 'ACTIVE').length === 1;
  });
  return key;
}

/** No version is younger than a period after the one before it, and one alone is ACTIVE. */
function expectOneEachPeriod({ versions }: Key): void {
  const oldestFirst = versions.toReversed();
  expect(oldestFirst.map(({ version }) => version)).toEqual(
    oldestFirst.map((_, index) => index + 1),
  );
  const times = oldestFirst.map(({ createTime }) => createTime?.getTime() ?? 0);
  for (const [index, time] of times.slice(1).entries()) {
    expect(time - (times[index] ?? 0)).toBeGreaterThanOrEqual(PERIOD_MS);
  }
  const states = versions.map(({ state }) => state);
  expect(states).toEqual(['ACTIVE', ...states.slice(1).map(() => 'DEACTIVATED')]);
}

describe('two daemons on one token', () => {
  test('make one version each period, under load, and fail no call', async () => {
    const [one, other] = [await start(), await start()];
    await createKey(one, 'rotated');
    const loads = [startSigning('rotated', one, other), startSigning('rotated', other, one)];

    await expect.poll(() => newestOf(one, 'rotated'), LIMIT).toBeGreaterThanOrEqual(6);
    const key = await rest(one, 'rotated');
    const failures = await Promise.all(loads.map((load) => load.end()));

    expect(failures.flat()).toEqual([]);
    for (const load of loads) expect(load.answered()).toBeGreaterThan(0);
    expectOneEachPeriod(key);
    for (const { logLines } of daemons) {
      expect(logLines.filter(({ msg }) => msg.includes('cannot be rotated'))).toEqual([]);
    }
  });

  test('both go by what a client of one of them has settled', async () => {
    const [one, other] = [await start(), await start()];
    await one.keys.create('later', 'HMAC_SHA256', { ...PATIENT, destroyable: false });

    const updated = await other.keys.update('later', { rotationPeriodMs: PERIOD_MS }, PATIENT);

    const [newest] = updated.versions;
    expect(updated).toMatchObject({ rotationPeriodMs: PERIOD_MS, destroyable: false });
    expect(updated.nextRotationTime?.getTime()).toBe(
      (newest?.createTime?.getTime() ?? 0) + PERIOD_MS,
    );
    await expect.poll(() => newestOf(one, 'later'), LIMIT).toBeGreaterThanOrEqual(2);
  });
});

test('a key whose time came while no daemon ran is rotated once', async () => {
  const first = await start();
  const created = await createKey(first, 'caught-up');
  await daemons[0]?.stop();
  const [version] = created.versions;
  const missedMs = (version?.createTime?.getTime() ?? 0) + 3 * PERIOD_MS;
  await expect.poll(() => Date.now(), LIMIT).toBeGreaterThan(missedMs);

  const client = await start();
  await expect.poll(() => newestOf(client, 'caught-up'), LIMIT).toBe(2);

  expectOneEachPeriod(await rest(client, 'caught-up'));
});

test('a daemon that is killed again and again while it rotates leaves keys that sign and verify', async () => {
  const data = Buffer.from('data');
  const first = await start();
  const names = ['killed-1', 'killed-2', 'killed-3'];
  for (const name of names) await createKey(first, name);
  const made = new Map<string, Uint8Array[]>(names.map((name) => [name, []]));

  for (let round = 0; round < 5; round += 1) {
    const daemon = daemons.at(-1) as Daemon;
    const client = clients.at(-1) as Client;
    for (const name of names) {
      const { signature } = await client.key(name).sign(data, PATIENT);
      made.get(name)?.push(signature);
    }
    const before = daemon.logLines.filter(({ msg }) =>
      msg.includes('rotated automatically'),
    ).length;
    await expect
      .poll(
        () => daemon.logLines.filter(({ msg }) => msg.includes('rotated automatically')).length,
        {
          ...LIMIT,
          interval: 1 + Math.random() * 20,
        },
      )
      .toBeGreaterThan(before);
    daemon.process.kill('SIGKILL');
    await daemon.exited;
    await start();
  }

  const last = clients.at(-1) as Client;
  for (const name of names) {
    for (const signature of made.get(name) ?? []) {
      expect(await last.key(name).verify(data, signature, PATIENT)).toMatchObject({ valid: true });
    }
    expectOneEachPeriod(await rest(last, name));
  }
});
