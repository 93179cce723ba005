import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Client, connect, type Key } from '../../src/client/client.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 });

const ROUNDS = 4;
const HOUR_MS = 3_600_000;

/** Of a call that has to wait for the start of a token host on a machine that is busy with tests. */
const PATIENT = { deadlineMs: 30_000 };

const SETTINGS = { destroyable: false, rotationPeriodMs: HOUR_MS };

let softHsm: SoftHsm;

beforeAll(() => {
  softHsm = createSoftHsm();
});

afterAll(() => softHsm?.remove());

/** Creates keys one after the other until the daemon is killed. @returns the names of all it began */
async function createUntilKilled(daemon: Daemon, round: number): Promise<string[]> {
  const client = connect({ address: daemon.addresses[0] ?? '' });
  const names: string[] = [];
  let made = 0;
  let isOver = false;
  const creating = (async () => {
    while (!isOver) {
      const name = `key-${round}-${names.length}`;
      names.push(name);
      await client.keys
        .create(name, 'HMAC_SHA256', { ...SETTINGS, requestId: name, deadlineMs: 2_000 })
        .then(
          () => (made += 1),
          () => undefined,
        );
    }
  })();
  await until(() => made >= 2);
  await pause(Math.random() * 200);
  daemon.process.kill('SIGKILL');
  await daemon.exited;
  isOver = true;
  await creating;
  await client.close();
  return names;
}

async function allKeys(client: Client): Promise<Key[]> {
  const keys: Key[] = [];
  for await (const key of client.keys.list(PATIENT)) keys.push(key);
  return keys;
}

test('a daemon that is killed leaves no key without the settings that it was asked for', async () => {
  const names: string[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    names.push(...(await createUntilKilled(await startDaemon(softHsm), round)));
  }
  const daemon = await startDaemon(softHsm);
  const client = connect({ address: daemon.addresses[0] ?? '' });

  const left = await allKeys(client);
  for (const name of names) {
    await client.keys.create(name, 'HMAC_SHA256', { ...SETTINGS, ...PATIENT, requestId: name });
  }
  const made = await allKeys(client);
  const records = softHsm.pkcs11Tool('--list-objects', '--type', 'data').match(/^Data object/gm);
  await client.close();
  await daemon.stop();

  expect(left.length).toBeGreaterThan(0);
  for (const key of [...left, ...made]) expect(key).toMatchObject(SETTINGS);
  expect(made.map(({ name }) => name).sort()).toEqual([...names].sort());
  for (const { versions } of made) expect(versions).toHaveLength(1);
  expect(records).toHaveLength(names.length);
});
