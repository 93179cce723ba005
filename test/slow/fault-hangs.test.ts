import { existsSync } from 'node:fs';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { connectClient, failureOf, type TestClient } from '../support/client.ts';
import { FaultyDaemon } from '../support/faulty-daemon.ts';
import { type CryptokiFunction, on } from '../support/pkcs11-shim.ts';
import { processTree } from '../support/processes.ts';

const DEADLINE_MS = 500;
const DRAIN_MS = 1_000;

/** How long the hosts get to log out before they are killed. */
const LOGOUT_MS = 2_000;

/** What a busy machine may take besides. */
const SLACK_MS = 5_000;

const data = Buffer.from('data');

let faulty: FaultyDaemon;
let hurried: TestClient;

afterEach(async () => {
  hurried?.close();
  await faulty?.remove();
});

/** What makes the module's function hang, and who has to wait for it. */
const CALLS: readonly (readonly [CryptokiFunction, (client: TestClient) => Promise<unknown>])[] = [
  ['C_Sign', (client) => client.sign({ key: 'adopted-0', data })],
  ['C_SignInit', (client) => client.sign({ key: 'adopted-0', data })],
  ['C_FindObjects', (client) => client.getKey({ key: 'not-there' })],
];

async function start(): Promise<void> {
  faulty = await FaultyDaemon.start({ config: { shutdown: { drainTimeoutMs: DRAIN_MS } } });
  const [address = ''] = faulty.daemon.addresses;
  hurried = connectClient(address, undefined, DEADLINE_MS);
  await faulty.sign(data);
}

/** @returns for how long it took to end */
async function stopDaemon(): Promise<number> {
  const pids = processTree(faulty.daemon.process.pid as number);
  const startMs = performance.now();
  const exit = await faulty.daemon.stop();
  const tookMs = performance.now() - startMs;
  expect(exit).toBe(0);
  expect(pids.length).toBeGreaterThan(2);
  expect(pids.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
  return tookMs;
}

describe('fault 5 [shim]: a daemon with a call that hangs answers at the deadline, and SIGTERM ends it in time', () => {
  test.each(CALLS)('%s', async (name, call) => {
    await start();
    await faulty.shim.control(on(name).hangForever());

    const startMs = performance.now();
    const failure = await failureOf(call(hurried));
    const answeredMs = performance.now() - startMs;
    const stoppedMs = await stopDaemon();

    expect(failure.code).toBe(status.DEADLINE_EXCEEDED);
    expect(answeredMs).toBeLessThan(DEADLINE_MS + SLACK_MS);
    expect(stoppedMs).toBeLessThan(DRAIN_MS + LOGOUT_MS + SLACK_MS);
  });

  test('C_Login', async () => {
    await start();
    await faulty.shim.control(on('C_Login').hangForever());
    const faults = faulty.shim.faults('C_Login');

    process.kill(faulty.hosts[0] as number, 'SIGKILL');
    await expect
      .poll(() => faulty.shim.faults('C_Login'), { timeout: 30_000 })
      .toBeGreaterThan(faults);
    for (let call = 0; call < 20; call++) await faulty.signOnce(data);
    const stoppedMs = await stopDaemon();

    expect(stoppedMs).toBeLessThan(DRAIN_MS + LOGOUT_MS + SLACK_MS);
  });
});
