import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ALGORITHM_NAMES, type Algorithm } from '../../src/domain/algorithm.ts';
import { SigildError } from '../../src/domain/errors.ts';
import type { Key } from '../../src/domain/key.ts';
import type { KeySettings } from '../../src/domain/key-record.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import { AccessPolicy } from '../../src/service/access-policy.ts';
import { AutomaticRotation } from '../../src/service/automatic-rotation.ts';
import { KeyCatalog } from '../../src/service/key-catalog.ts';
import { KeyLifecycle } from '../../src/service/key-lifecycle.ts';
import { Turns } from '../../src/service/turns.ts';
import { FakeToken } from '../support/fake-token.ts';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

const { signal } = new AbortController();

const stops: (() => Promise<void>)[] = [];

beforeEach(() => {
  vi.useFakeTimers({
    now: Date.UTC(2026, 0, 1),
    toFake: ['Date', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'],
  });
});

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A daemon on a token that others may share, which reads the token whenever a test says so. */
async function startDaemon(
  token = new FakeToken(),
  enabled: readonly Algorithm[] = ALGORITHM_NAMES,
) {
  const catalog = new KeyCatalog({ token, lookupTimeoutMs: 5_000, onAmbiguous: () => undefined });
  const rotated: Key[] = [];
  const failures: [name: string, reason: string][] = [];
  const daemon = { serving: true };
  const rotation = new AutomaticRotation({
    catalog,
    lifecycle: new KeyLifecycle({
      ...{ token, catalog, policy: new AccessPolicy(new Map()) },
      ...{ enabledAlgorithms: new Set(enabled), turns: new Turns() },
    }),
    isServing: () => daemon.serving,
    onRotated: (key) => rotated.push(key),
    onFailure: (name, error) => failures.push([name, (error as SigildError).reason]),
  });
  await catalog.refresh();
  rotation.start();
  stops.push(() => rotation.stop());
  return { token, catalog, rotation, rotated, failures, daemon };
}

/** Makes a key now. */
async function createKey(
  token: FakeToken,
  settings: KeySettings = { rotationPeriodMs: HOUR_MS, destroyable: true },
  algorithm: Algorithm = 'HMAC_SHA256',
  name = 'webhooks',
): Promise<Key> {
  const id = encodeVersionId({ createTimeMs: Date.now(), version: 1, tag: Buffer.alloc(6, 1) });
  return await token.createKey({ name, algorithm, id, settings }, signal);
}

async function versionsOf(token: FakeToken): Promise<(readonly [number, string])[]> {
  const key = await token.findKey('webhooks', signal);
  return key?.versions.map(({ version, state }) => [version, state] as const) ?? [];
}

describe('a daemon', () => {
  test('rotates a key when its newest version is as old as the period, and deactivates that one', async () => {
    const token = new FakeToken();
    await createKey(token);
    const { rotated } = await startDaemon(token);

    await vi.advanceTimersByTimeAsync(HOUR_MS - MINUTE_MS);
    const before = await versionsOf(token);
    await vi.advanceTimersByTimeAsync(2 * MINUTE_MS);

    expect(before).toEqual([[1, 'ACTIVE']]);
    expect(await versionsOf(token)).toEqual([
      [2, 'ACTIVE'],
      [1, 'DEACTIVATED'],
    ]);
    expect(rotated.map(({ versions }) => versions[0]?.version)).toEqual([2]);
  });

  test('rotates again and again, once each period', async () => {
    const token = new FakeToken();
    await createKey(token);
    await startDaemon(token);

    await vi.advanceTimersByTimeAsync(4 * (HOUR_MS + MINUTE_MS));

    expect((await versionsOf(token)).map(([version]) => version)).toEqual([5, 4, 3, 2, 1]);
  });

  test('makes up for all periods that it missed with one rotation', async () => {
    const token = new FakeToken();
    await createKey(token);
    vi.setSystemTime(Date.now() + 100 * HOUR_MS);
    await startDaemon(token);

    await vi.advanceTimersByTimeAsync(10 * MINUTE_MS);

    expect((await versionsOf(token)).map(([version]) => version)).toEqual([2, 1]);
  });

  test('leaves keys without a rotation period alone', async () => {
    const token = new FakeToken();
    await createKey(token, { rotationPeriodMs: undefined, destroyable: false });
    await startDaemon(token);

    await vi.advanceTimersByTimeAsync(48 * HOUR_MS);

    expect(await versionsOf(token)).toEqual([[1, 'ACTIVE']]);
  });

  test('rotates nothing while it does not serve, and begins when it does', async () => {
    const token = new FakeToken();
    await createKey(token);
    const { daemon } = await startDaemon(token);
    daemon.serving = false;
    await vi.advanceTimersByTimeAsync(2 * HOUR_MS);
    const before = await versionsOf(token);

    daemon.serving = true;
    await vi.advanceTimersByTimeAsync(MINUTE_MS);

    expect(before).toEqual([[1, 'ACTIVE']]);
    expect(await versionsOf(token)).toHaveLength(2);
  });

  test('rotates nothing any more when it has stopped', async () => {
    const token = new FakeToken();
    await createKey(token);
    const { rotation } = await startDaemon(token);

    await rotation.stop();
    await vi.advanceTimersByTimeAsync(2 * HOUR_MS);

    expect(await versionsOf(token)).toEqual([[1, 'ACTIVE']]);
  });

  test('finishes a rotation of which only the new version was made', async () => {
    const token = new FakeToken();
    await createKey(token);
    token.failNext('setVersionState', new SigildError('TOKEN_UNAVAILABLE', 'lost'));
    await startDaemon(token);

    await vi.advanceTimersByTimeAsync(HOUR_MS + MINUTE_MS);

    expect(await versionsOf(token)).toEqual([
      [2, 'ACTIVE'],
      [1, 'DEACTIVATED'],
    ]);
  });

  test('finishes what a daemon has left that crashed in the middle of it', async () => {
    const token = new FakeToken();
    await createKey(token);
    const crashed = await startDaemon(token);
    token.failNext('setVersionState', new SigildError('TOKEN_UNAVAILABLE', 'lost'));
    while ((await versionsOf(token)).length < 2) await vi.advanceTimersByTimeAsync(100);
    await crashed.rotation.stop();
    const left = await versionsOf(token);
    // Of a spread that it would take, this is nearly the longest.
    vi.spyOn(Math, 'random').mockReturnValue(0.99);
    await startDaemon(token);

    await vi.advanceTimersByTimeAsync(2_000);

    expect(left.map(([, state]) => state)).toEqual(['ACTIVE', 'ACTIVE']);
    expect((await versionsOf(token)).map(([, state]) => state)).toEqual(['ACTIVE', 'DEACTIVATED']);
  });

  test('tries again, later each time, what fails, and tells of it once', async () => {
    const token = new FakeToken();
    await createKey(token);
    const { failures } = await startDaemon(token);
    token.failNext(
      'createVersion',
      ...Array.from({ length: 3 }, () => new SigildError('TOKEN_FULL', 'full')),
    );

    await vi.advanceTimersByTimeAsync(HOUR_MS + MINUTE_MS);

    expect(failures).toEqual([['webhooks', 'TOKEN_FULL']]);
    expect(await versionsOf(token)).toHaveLength(2);
  });

  test('rotates one key at a time, however many are due', async () => {
    const token = new FakeToken();
    for (let number = 0; number < 20; number += 1)
      await createKey(token, undefined, undefined, `key-${number}`);
    const { rotated } = await startDaemon(token);
    await vi.advanceTimersByTimeAsync(HOUR_MS - MINUTE_MS);
    const release = token.hold();

    await vi.advanceTimersByTimeAsync(4 * MINUTE_MS);
    const waiting = token.waiting;
    release();
    await vi.advanceTimersByTimeAsync(MINUTE_MS);

    expect(waiting).toBe(1);
    expect(rotated).toHaveLength(20);
  });

  test('survives a defect', async () => {
    const token = new FakeToken();
    await createKey(token);
    await startDaemon(token);
    token.failNext('createVersion', new TypeError('a defect'));

    await vi.advanceTimersByTimeAsync(HOUR_MS + MINUTE_MS);

    expect(await versionsOf(token)).toHaveLength(2);
  });

  test('does not rotate a key of an algorithm that is not enabled, and tells of it once', async () => {
    const token = new FakeToken();
    await createKey(token, undefined, 'HMAC_SHA1');
    const { failures } = await startDaemon(token, ['HMAC_SHA256']);

    await vi.advanceTimersByTimeAsync(5 * HOUR_MS);

    expect(failures).toEqual([['webhooks', 'ALGORITHM_DISABLED']]);
    expect(await versionsOf(token)).toEqual([[1, 'ACTIVE']]);
  });

  test('does not rotate a key of which no version is ACTIVE, until one is', async () => {
    const token = new FakeToken();
    const key = await createKey(token);
    const id = key.versions[0]?.id ?? '';
    token.setState(id, 'SUSPENDED');
    const { failures } = await startDaemon(token);
    await vi.advanceTimersByTimeAsync(2 * HOUR_MS);
    const before = await versionsOf(token);

    token.setState(id, 'ACTIVE');
    await vi.advanceTimersByTimeAsync(10 * MINUTE_MS);

    expect(before).toEqual([[1, 'SUSPENDED']]);
    expect(failures).toEqual([['webhooks', 'KEY_STATE_FORBIDS']]);
    expect(await versionsOf(token)).toHaveLength(2);
  });

  test('does not rotate a key with an ambiguous version', async () => {
    const token = new FakeToken();
    await createKey(token);
    token.writeKey('webhooks', Buffer.alloc(32), 'HMAC_SHA256', 1);
    const { failures } = await startDaemon(token);

    await vi.advanceTimersByTimeAsync(2 * HOUR_MS);

    expect(failures).toEqual([['webhooks', 'KEY_AMBIGUOUS']]);
    expect(await versionsOf(token)).toHaveLength(2);
  });

  test('forgets a key that has gone', async () => {
    const token = new FakeToken();
    const key = await createKey(token);
    const { failures } = await startDaemon(token);
    token.remove(key.versions[0]?.id ?? '');

    await vi.advanceTimersByTimeAsync(2 * HOUR_MS);

    expect(failures).toEqual([]);
  });
});

test('three daemons on one token make one version each period', async () => {
  const token = new FakeToken();
  await createKey(token);
  const daemons = await Promise.all([startDaemon(token), startDaemon(token), startDaemon(token)]);

  for (let period = 0; period < 3; period += 1) {
    await vi.advanceTimersByTimeAsync(HOUR_MS + MINUTE_MS);
    for (const { catalog } of daemons) await catalog.refresh();
  }

  expect((await versionsOf(token)).map(([version]) => version)).toEqual([4, 3, 2, 1]);
  expect(daemons.flatMap(({ rotated }) => rotated)).toHaveLength(3);
  expect(daemons.flatMap(({ failures }) => failures)).toEqual([]);
});
