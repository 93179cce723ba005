import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Client } from '../../src/client/client.ts';
import { DaemonGroup } from '../support/daemon-group.ts';
import { countObjects, createKey, DESTROYING, PATIENT } from '../support/destroyed-keys.ts';

vi.setConfig({ testTimeout: 1_800_000, hookTimeout: 60_000 });

const KILLS = 100;

/** Of a daemon, after its first change: some changes more. */
const LONGEST_LIFE_MS = 400;

const WAIT = { timeout: 60_000, interval: 100 };

const KEYS = ['k0', 'k1', 'k2'];

let group: DaemonGroup;

beforeEach(() => {
  group = new DaemonGroup(DESTROYING);
});

afterEach(() => group.end());

/** Schedules, restores and destroys the older version of a key again and again, until it fails. */
async function keepChanging(
  client: Client,
  name: string,
  seed: number,
  { signal, onChanged }: { readonly signal: AbortSignal; readonly onChanged: () => void },
): Promise<void> {
  const options = { ...PATIENT, signal };
  for (let turn = seed; ; turn++) {
    const key = await client.keys.get(name, options);
    const old = key.versions.find(({ state }) => state !== 'ACTIVE' && state !== 'DESTROYED');
    if (!old) {
      await client.keys.rotate(name, options);
      continue;
    }
    const delayMs = turn % 3 === 0 ? 0 : 60_000;
    await client.keys.scheduleDestroy(name, old.version, { ...options, delayMs });
    onChanged();
    if (delayMs > 0) await client.keys.restore(name, old.version, options);
  }
}

/** What stands on the token, and what the daemon says should. */
async function compareObjects(client: Client) {
  const keys = await Promise.all(KEYS.map((name) => client.keys.get(name, PATIENT)));
  const versions = keys.flatMap((key) => key.versions);
  const found = countObjects(group.softHsm);
  return {
    keys: found.keys - versions.filter(({ state }) => state !== 'DESTROYED').length,
    // A version has one record at the most, and each kill leaves a superseded copy for each key at the
    // most, which the daemon removes after a quarter of an hour.
    records: Math.max(0, found.records - versions.length - KILLS * KEYS.length),
  };
}

test('whatever a daemon does when it is killed, keys stay usable and nothing is left over', async () => {
  const maker = await group.start();
  for (const name of KEYS) await createKey(maker.client, name);
  await maker.daemon.stop();
  for (let kill = 0; kill < KILLS; kill += 1) {
    const { daemon, client } = await group.start();
    const killed = new AbortController();
    const { signal } = killed;
    const changing: Promise<void>[] = [];
    const changed = new Promise<void>((onChanged) => {
      for (const name of KEYS) {
        changing.push(
          keepChanging(client, name, kill, { signal, onChanged }).catch(() => undefined),
        );
      }
    });
    // The first change has waited for the host that makes it.
    await Promise.race([changed, Promise.all(changing)]);
    await pause(Math.random() * LONGEST_LIFE_MS);
    daemon.process.kill('SIGKILL');
    await daemon.exited;
    killed.abort();
    await Promise.all(changing);
    await client.close();
  }
  const { client } = await group.start();

  await expect.poll(() => compareObjects(client), WAIT).toEqual({ keys: 0, records: 0 });

  for (const name of KEYS) {
    const data = Buffer.from(name);
    const { signature, version } = await client.key(name).sign(data, PATIENT);
    expect(await client.key(name).verify(data, signature)).toMatchObject({ valid: true, version });
    const key = await client.keys.get(name, PATIENT);
    const numbers = key.versions.map((one) => one.version);
    expect(numbers).toEqual(Array.from(numbers, (_, index) => numbers.length - index));
  }
});
