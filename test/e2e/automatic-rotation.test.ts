import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Client } from '../../src/client/client.ts';
import { type Load, startLoad } from '../support/client-load.ts';
import { DaemonGroup } from '../support/daemon-group.ts';
import {
  createRotatingKey,
  expectOneEachPeriod,
  LIMIT,
  newestOf,
  PATIENT,
  PERIOD_MS,
  ROTATING,
  rest,
} from '../support/rotating-keys.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 });

let group: DaemonGroup;

beforeEach(() => {
  group = new DaemonGroup(ROTATING);
});

afterEach(() => group.end());

async function startTwo(): Promise<[Client, Client]> {
  const [one, other] = [await group.start(), await group.start()];
  return [one.client, other.client];
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

describe('two daemons on one token', () => {
  test('make one version each period, under load, and fail no call', async () => {
    const [one, other] = await startTwo();
    await createRotatingKey(one, 'rotated');
    const loads = [startSigning('rotated', one, other), startSigning('rotated', other, one)];

    await expect.poll(() => newestOf(one, 'rotated'), LIMIT).toBeGreaterThanOrEqual(4);
    const key = await rest(one, 'rotated');
    const failures = await Promise.all(loads.map((load) => load.end()));

    expect(failures.flat()).toEqual([]);
    for (const load of loads) expect(load.answered()).toBeGreaterThan(0);
    expectOneEachPeriod(key);
    for (const { daemon } of group.members) {
      expect(daemon.logLines.filter(({ msg }) => msg.includes('cannot be rotated'))).toEqual([]);
    }
  });

  test('both go by what a client of one of them has settled', async () => {
    const [one, other] = await startTwo();
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
  const first = await group.start();
  const created = await createRotatingKey(first.client, 'caught-up');
  await first.daemon.stop();
  const [version] = created.versions;
  const missedMs = (version?.createTime?.getTime() ?? 0) + 3 * PERIOD_MS;
  await expect.poll(() => Date.now(), LIMIT).toBeGreaterThan(missedMs);

  const { client } = await group.start();
  await expect.poll(() => newestOf(client, 'caught-up'), LIMIT).toBe(2);

  expectOneEachPeriod(await rest(client, 'caught-up'));
});
