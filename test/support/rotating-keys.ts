import { expect } from 'vitest';
import type { Client, Key } from '../../src/client/client.ts';

/** Of a call that has to wait for the start of a token host on a machine that is busy with tests. */
export const PATIENT = { deadlineMs: 30_000 };

export const PERIOD_MS = 2_000;
const DAY_MS = 86_400_000;

export const LIMIT = { timeout: 90_000, interval: 100 };

/** What a daemon's configuration says where keys rotate within a test. */
export const ROTATING = { keys: { refreshIntervalMs: 1_000, minRotationPeriodMs: 1_000 } };

export function createRotatingKey(client: Client, name: string): Promise<Key> {
  return client.keys.create(name, 'HMAC_SHA256', { ...PATIENT, rotationPeriodMs: PERIOD_MS });
}

export async function newestOf(client: Client, name: string): Promise<number> {
  return (await client.keys.get(name, PATIENT)).versions[0]?.version ?? 0;
}

/** Has a key rotated no more. @returns the key when what has begun has come to its end */
export async function rest(client: Client, name: string): Promise<Key> {
  await client.keys.update(name, { rotationPeriodMs: DAY_MS }, PATIENT);
  const active = async () => {
    const { versions } = await client.keys.get(name, PATIENT);
    return versions.filter(({ state }) => state === 'ACTIVE').length;
  };
  await expect.poll(active, LIMIT).toBe(1);
  return client.keys.get(name, PATIENT);
}

/** No version is younger than a period after the one before it, and one alone is ACTIVE. */
export function expectOneEachPeriod({ versions }: Key): void {
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
