import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Key } from '../../src/client/client.ts';
import { sigilctlOnTerminal } from '../integration/admin-sigilctl.ts';
import type { Daemon } from '../support/daemon.ts';
import { DaemonGroup } from '../support/daemon-group.ts';
import { countObjects, createKey, DESTROYING, PATIENT } from '../support/destroyed-keys.ts';

vi.setConfig({ testTimeout: 600_000, hookTimeout: 60_000 });

const WAIT = { timeout: 60_000, interval: 100 };

const KEYS = ['k0', 'k1', 'k2'];

const DESTROYED = 'a version was destroyed, as was scheduled';

let group: DaemonGroup;

beforeEach(() => {
  group = new DaemonGroup(DESTROYING);
});

afterEach(() => group.end());

function statesOf(key: Key): readonly string[] {
  return key.versions.map(({ state }) => state);
}

function destroyedBy(...ended: readonly Daemon[]): number {
  return ended.flatMap(({ logLines }) => logLines.filter(({ msg }) => msg === DESTROYED)).length;
}

describe('a version', () => {
  test('is destroyed at its time, and its record stays through a restart', async () => {
    const first = await group.start();
    await createKey(first.client, 'shop');
    const { signature } = await first.client.key('shop').sign(Buffer.from('data'));

    const scheduled = await first.client.keys.scheduleDestroy('shop', 1, {
      ...PATIENT,
      delayMs: 2_000,
    });
    expect(statesOf(scheduled)).toEqual(['ACTIVE', 'DESTROY_SCHEDULED']);
    await expect
      .poll(async () => statesOf(await first.client.keys.get('shop', PATIENT)), WAIT)
      .toEqual(['ACTIVE', 'DESTROYED']);
    await first.daemon.stop();
    const second = await group.start();

    const key = await second.client.keys.get('shop', PATIENT);
    expect(statesOf(key)).toEqual(['ACTIVE', 'DESTROYED']);
    expect(key.versions[1]?.destroyTime?.getTime()).toBeGreaterThanOrEqual(
      scheduled.versions[1]?.destroyTime?.getTime() ?? Infinity,
    );
    expect(await second.client.key('shop').verify(Buffer.from('data'), signature)).toMatchObject({
      valid: true,
      version: 2,
    });
    expect(countObjects(group.softHsm)).toEqual({ keys: 1, records: 1 });
    expect(destroyedBy(first.daemon, second.daemon)).toBe(1);
  });

  test('is destroyed by the next start where no daemon ran at its time', async () => {
    const first = await group.start();
    await createKey(first.client, 'shop');
    await first.client.keys.scheduleDestroy('shop', 1, { ...PATIENT, delayMs: 5_000 });
    await first.daemon.stop();
    expect(destroyedBy(first.daemon)).toBe(0);
    await pause(5_000);

    const second = await group.start();

    await expect
      .poll(async () => statesOf(await second.client.keys.get('shop', PATIENT)), WAIT)
      .toEqual(['ACTIVE', 'DESTROYED']);
    await expect.poll(() => countObjects(group.softHsm), WAIT).toEqual({ keys: 1, records: 1 });
  });

  test('that one daemon schedules is restored by another one', async () => {
    const one = await group.start();
    const other = await group.start();
    await createKey(one.client, 'shop');

    await one.client.keys.scheduleDestroy('shop', 1, { ...PATIENT, delayMs: 60_000 });
    const restored = await other.client.keys.restore('shop', 1, PATIENT);
    const again = await one.client.keys.scheduleDestroy('shop', 1, { ...PATIENT, delayMs: 0 });

    expect(statesOf(restored)).toEqual(['ACTIVE', 'SUSPENDED']);
    expect(statesOf(again)).toEqual(['ACTIVE', 'DESTROYED']);
    expect(statesOf(await other.client.keys.get('shop', PATIENT))).toEqual(['ACTIVE', 'DESTROYED']);
    expect(countObjects(group.softHsm)).toEqual({ keys: 1, records: 1 });
  });

  test('that two daemons know of is destroyed once, and neither of them fails', async () => {
    const one = await group.start();
    const other = await group.start();
    for (const name of KEYS) {
      await createKey(one.client, name);
      await one.client.keys.scheduleDestroy(name, 1, { ...PATIENT, delayMs: 4_000 });
    }

    for (const name of KEYS) {
      await expect
        .poll(async () => statesOf(await other.client.keys.get(name, PATIENT)), WAIT)
        .toEqual(['ACTIVE', 'DESTROYED']);
    }

    await expect
      .poll(() => countObjects(group.softHsm), WAIT)
      .toEqual({ keys: KEYS.length, records: KEYS.length });
    await one.daemon.stop();
    await other.daemon.stop();
    expect(destroyedBy(one.daemon, other.daemon)).toBe(KEYS.length);
    const warnings = [one.daemon, other.daemon].flatMap(({ logLines }) =>
      logLines.filter(({ msg }) => msg.startsWith('what is due')),
    );
    expect(warnings).toEqual([]);
  });
});

describe('the last version of a key', () => {
  test.each([
    ['its name', 'shop', 0, 'DESTROY_SCHEDULED'],
    ['another name', 'shop1', 64, 'SUSPENDED'],
    ['Ctrl-C', '\u0003', 1, 'SUSPENDED'],
  ])('is scheduled on a terminal for who types %s', async (_, typed, exitCode, state) => {
    const { client, daemon } = await group.start();
    await client.keys.create('shop', 'HMAC_SHA256', PATIENT);
    await client.keys.updateVersion('shop', 1, 'SUSPENDED', PATIENT);

    const run = sigilctlOnTerminal(
      ['key', 'destroy', 'shop', '--version', '1', '--timeout-ms', '60000'],
      { ...process.env, SIGILD_ADDRESS: daemon.addresses[0] },
      [["version 1 is the last one of key shop; type the key's name to go on: ", `${typed}\r`]],
    );

    expect(run.exitCode).toBe(exitCode);
    expect(run.echoes).toBe(true);
    expect(statesOf(await client.keys.get('shop', PATIENT))).toEqual([state]);
  });
});
