import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DaemonGroup } from '../support/daemon-group.ts';
import {
  createRotatingKey,
  expectOneEachPeriod,
  LIMIT,
  PATIENT,
  ROTATING,
  rest,
} from '../support/rotating-keys.ts';

vi.setConfig({ testTimeout: 1_800_000, hookTimeout: 60_000 });

const KILLS = 100;

const ROTATED = 'a key was rotated automatically';

/** From the first rotation of a round on: the others of the round take about so long. */
const ROTATIONS_MS = 30;

const KEYS = ['killed-1', 'killed-2', 'killed-3'];

const DATA = Buffer.from('data');

let group: DaemonGroup;

beforeEach(() => {
  group = new DaemonGroup(ROTATING);
});

afterEach(() => group.end());

test('a daemon that is killed again and again while it rotates leaves keys that sign and verify', async () => {
  let { daemon, client } = await group.start();
  for (const name of KEYS) await createRotatingKey(client, name);
  const made: { name: string; signature: Uint8Array }[] = [];

  for (let kill = 0; kill < KILLS; kill += 1) {
    for (const name of KEYS) {
      const { signature } = await client.key(name).sign(DATA, PATIENT);
      made.push({ name, signature });
    }
    const { logLines } = daemon;
    const rotated = () => logLines.filter(({ msg }) => msg === ROTATED).length;
    await expect.poll(rotated, { ...LIMIT, interval: 2 }).toBeGreaterThan(0);
    await pause(Math.random() * ROTATIONS_MS);
    daemon.process.kill('SIGKILL');
    await daemon.exited;
    await client.close();
    ({ daemon, client } = await group.start());
  }

  for (const name of KEYS) {
    expectOneEachPeriod(await rest(client, name));
  }
  for (const { name, signature } of made) {
    expect(await client.key(name).verify(DATA, signature, PATIENT)).toMatchObject({ valid: true });
  }
});
