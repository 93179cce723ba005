import { describe, expect, test } from 'vitest';
import { ALGORITHM_NAMES } from '../../src/domain/algorithm.ts';
import { MAX_DESTROY_DELAY_MS } from '../../src/domain/destroy-delay.ts';
import { type ErrorReason, SigildError } from '../../src/domain/errors.ts';
import type { Key } from '../../src/domain/key.ts';
import { DEFAULT_SETTINGS, type KeySettings } from '../../src/domain/key-record.ts';
import { KEY_STATES, type KeyState, type UsageState } from '../../src/domain/key-state.ts';
import { namePattern } from '../../src/domain/name-pattern.ts';
import { nextRotationMs } from '../../src/domain/rotation.ts';
import { AccessPolicy, type Grant, OPERATIONS } from '../../src/service/access-policy.ts';
import { KeyCatalog } from '../../src/service/key-catalog.ts';
import { KeyDestruction } from '../../src/service/key-destruction.ts';
import { KeyLifecycle } from '../../src/service/key-lifecycle.ts';
import { KeyService } from '../../src/service/key-service.ts';
import { Turns } from '../../src/service/turns.ts';
import { FakeToken } from '../support/fake-token.ts';

const { signal } = new AbortController();
const VALUE = Buffer.alloc(32, 7);
const DAY_MS = 24 * 60 * 60 * 1_000;
const START_MS = Date.UTC(2026, 0, 1);

const GRANTS: readonly [string, readonly Grant[]][] = [
  ['admin', [{ keys: [namePattern('*')], operations: OPERATIONS }]],
  ['reader', [{ keys: [namePattern('*')], operations: ['getKey', 'updateKeyVersion'] }]],
];

/** A clock that several daemons share. */
class Clock {
  nowMs = START_MS;
  readonly now = () => this.nowMs;
}

/** A daemon's services on a token, which may be shared with another daemon's. */
function startDaemon(token = new FakeToken(), clock = new Clock(), minDestroyDelayMs = 0) {
  const catalog = new KeyCatalog({ token, lookupTimeoutMs: 1_000, onAmbiguous: () => undefined });
  const destroyed: number[] = [];
  const shared = {
    ...{ token, catalog, turns: new Turns(), now: clock.now, minRotationPeriodMs: 1 },
    policy: new AccessPolicy(new Map(GRANTS)),
    enabledAlgorithms: new Set(ALGORITHM_NAMES),
  };
  const destruction = new KeyDestruction({
    ...shared,
    ...{ destroyDelayMs: 30 * DAY_MS, minDestroyDelayMs },
    onDestroyed: ({ version }) => destroyed.push(version),
  });
  const lifecycle = new KeyLifecycle(shared);
  const keys = new KeyService(shared);
  const item = { key: 'webhooks', version: 1 };
  return {
    ...{ token, catalog, clock, destruction, destroyed },
    schedule: (version = 1, delayMs: number | undefined = DAY_MS, client = 'admin') =>
      destruction.scheduleDestroy({ client, signal }, { ...item, version, delayMs }),
    restore: (version = 1, client = 'admin') =>
      destruction.restore({ client, signal }, { ...item, version }),
    finish: () => destruction.finish('webhooks'),
    update: (version: number, state: UsageState) =>
      lifecycle.updateKeyVersion({ client: 'admin', signal }, { ...item, version, state }),
    rotate: () =>
      lifecycle.rotateKey(
        { client: 'admin', signal },
        { key: 'webhooks', keepActive: false, requestId: undefined },
      ),
    create: (reuseName: boolean, requestId?: string, settings: KeySettings = DEFAULT_SETTINGS) =>
      keys.createKey(
        { client: 'admin', signal },
        { key: 'webhooks', algorithm: 'HMAC_SHA256', reuseName, requestId, settings },
      ),
    find: () => keys.getKey({ client: 'admin', signal }, 'webhooks'),
  };
}

/** Puts a key there whose versions have these states, the newest last. */
async function writeKey(daemon: ReturnType<typeof startDaemon>, ...states: readonly KeyState[]) {
  for (const [index, state] of states.entries()) {
    const version = index + 1;
    const id = version.toString(16).padStart(32, '0');
    daemon.token.writeKey('webhooks', VALUE, 'HMAC_SHA256', version, id);
    const isPlanned = state === 'DESTROY_SCHEDULED' || state === 'DESTROYED';
    daemon.token.setState(id, isPlanned ? 'SUSPENDED' : state);
    if (isPlanned) await daemon.schedule(version, state === 'DESTROYED' ? 0 : DAY_MS);
  }
}

function statesOf(key: Key | undefined): readonly KeyState[] {
  return key?.versions.map(({ state }) => state) ?? [];
}

function outcomeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'done',
    (error: unknown) => (error instanceof SigildError ? error.reason : String(error)),
  );
}

function expectReason(work: Promise<unknown>, reason: ErrorReason): Promise<void> {
  return expect(work).rejects.toMatchObject({ reason });
}

describe('scheduling a destruction', () => {
  test.each(KEY_STATES)(
    'of a version that is %s is done where the standard allows it',
    async (state) => {
      const daemon = startDaemon();
      await writeKey(daemon, state, 'ACTIVE');

      const outcome = await outcomeOf(daemon.schedule());

      const isRefused = state === 'ACTIVE' || state === 'DESTROYED';
      expect(outcome).toBe(isRefused ? 'KEY_STATE_FORBIDS' : 'done');
      expect(statesOf(await daemon.find())[1]).toBe(isRefused ? state : 'DESTROY_SCHEDULED');
    },
  );

  test('takes all that the token lets the version do, and tells its time', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'DEACTIVATED');

    const key = await daemon.schedule(1, 2 * DAY_MS);

    expect(key.versions[0]).toMatchObject({
      state: 'DESTROY_SCHEDULED',
      isUnfinished: false,
      destruction: { destroyTimeMs: START_MS + 2 * DAY_MS, deactivated: true },
    });
  });

  test('keeps the time of the first call', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'SUSPENDED');
    const first = await daemon.schedule(1, DAY_MS);

    daemon.clock.nowMs += 1_000;
    const again = await daemon.schedule(1, 3 * DAY_MS);

    expect(again).toEqual(first);
  });

  test('takes the delay of the configuration where the request gives none', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'SUSPENDED');

    const key = await daemon.destruction.scheduleDestroy(
      { client: 'admin', signal },
      { key: 'webhooks', version: 1, delayMs: undefined },
    );

    expect(key.versions[0]?.destruction?.destroyTimeMs).toBe(START_MS + 30 * DAY_MS);
  });

  test.each([
    ['shorter than allowed', DAY_MS - 1, 'FIELD_INVALID'],
    ['the shortest', DAY_MS, 'done'],
    ['the longest', MAX_DESTROY_DELAY_MS, 'done'],
    ['longer than allowed', MAX_DESTROY_DELAY_MS + 1, 'FIELD_INVALID'],
  ])('with a delay that is %s ends so', async (_, delayMs, outcome) => {
    const daemon = startDaemon(undefined, undefined, DAY_MS);
    await writeKey(daemon, 'SUSPENDED');

    expect(await outcomeOf(daemon.schedule(1, delayMs))).toBe(outcome);
  });

  test.each([
    ['a key that is not there', 1, 'KEY_NOT_FOUND'],
    ['a version that is not there', 2, 'KEY_VERSION_NOT_FOUND'],
  ] as const)('of %s is refused', async (what, version, reason) => {
    const daemon = startDaemon();
    if (what.includes('version')) await writeKey(daemon, 'SUSPENDED');

    await expectReason(daemon.schedule(version), reason);
  });

  test('of a key that is not destroyable is refused', async () => {
    const daemon = startDaemon();
    await daemon.create(false, undefined, { rotationPeriodMs: undefined, destroyable: false });
    await daemon.update(1, 'SUSPENDED');

    await expect(daemon.schedule()).rejects.toThrow(
      'key webhooks was created as one that is never destroyed; a version of it can be suspended',
    );
    await expectReason(daemon.schedule(1, 0), 'KEY_STATE_FORBIDS');

    expect(statesOf(await daemon.find())).toEqual(['SUSPENDED']);
  });

  test('of a version that the token does not let be destroyed is refused', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'SUSPENDED');
    daemon.token.forbidDestruction('1'.padStart(32, '0'));

    await expect(daemon.schedule()).rejects.toThrow(
      'the token does not let version 1 of key webhooks be destroyed; it can be suspended',
    );

    expect(statesOf(await daemon.find())).toEqual(['SUSPENDED']);
  });

  test('and restoring need grants of their own', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'SUSPENDED');

    await expectReason(daemon.schedule(1, DAY_MS, 'reader'), 'PERMISSION_DENIED');
    await expectReason(daemon.restore(1, 'reader'), 'PERMISSION_DENIED');
  });

  test('with no delay destroys at once, and once more is done already', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'SUSPENDED', 'ACTIVE');

    const key = await daemon.schedule(1, 0);

    expect(statesOf(key)).toEqual(['ACTIVE', 'DESTROYED']);
    expect(await daemon.schedule(1, 0)).toEqual(key);
    expect(daemon.destroyed).toEqual([1]);
    expect(daemon.token.objects).toBe(1);
  });
});

describe('restoring', () => {
  test.each(KEY_STATES)('a version that is %s is done where it is of use', async (state) => {
    const daemon = startDaemon();
    await writeKey(daemon, state, 'ACTIVE');

    const outcome = await outcomeOf(daemon.restore());

    const isDone = state === 'DESTROY_SCHEDULED' || state === 'SUSPENDED';
    expect(outcome).toBe(isDone ? 'done' : 'KEY_STATE_FORBIDS');
    expect(statesOf(await daemon.find())[1]).toBe(isDone ? 'SUSPENDED' : state);
  });

  test('twice is as good as once', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'DESTROY_SCHEDULED');
    const first = await daemon.restore();

    expect(await daemon.restore()).toEqual(first);
  });

  test('lets a version that was suspended before sign again', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'DESTROY_SCHEDULED');
    await daemon.restore();

    expect(statesOf(await daemon.update(1, 'ACTIVE'))).toEqual(['ACTIVE']);
  });

  test('never lets a version sign again that was deactivated before', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'DEACTIVATED');
    for (let round = 0; round < 2; round++) {
      await daemon.schedule();
      await daemon.restore();

      await expect(daemon.update(1, 'ACTIVE')).rejects.toThrow(
        'is SUSPENDED, was DEACTIVATED before and may not become ACTIVE; ' +
          'allowed: DEACTIVATED, DESTROY_SCHEDULED',
      );
    }
    expect(statesOf(await daemon.update(1, 'DEACTIVATED'))).toEqual(['DEACTIVATED']);
  });

  test('is possible after the time, as long as no daemon has come to it', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'DESTROY_SCHEDULED');
    daemon.clock.nowMs += 2 * DAY_MS;

    await daemon.restore();
    await daemon.finish();

    expect(statesOf(await daemon.find())).toEqual(['SUSPENDED']);
  });
});

describe('a version whose destruction is scheduled', () => {
  test.each(['ACTIVE', 'DEACTIVATED', 'SUSPENDED'] as const)(
    'is made %s by no change of its state',
    async (state) => {
      const daemon = startDaemon();
      await writeKey(daemon, 'DESTROY_SCHEDULED');

      await expect(daemon.update(1, state)).rejects.toThrow(
        'version 1 of key webhooks is DESTROY_SCHEDULED; restore it first',
      );
    },
  );

  test('is destroyed at its time and not before', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'DESTROY_SCHEDULED', 'ACTIVE');

    daemon.clock.nowMs += DAY_MS - 1;
    await daemon.finish();
    expect(statesOf(await daemon.find())).toEqual(['ACTIVE', 'DESTROY_SCHEDULED']);
    daemon.clock.nowMs += 1;
    await daemon.finish();

    const key = await daemon.find();
    expect(statesOf(key)).toEqual(['ACTIVE', 'DESTROYED']);
    expect(key.versions[1]?.destruction?.destroyTimeMs).toBe(START_MS + DAY_MS);
    expect(daemon.token.objects).toBe(1);
    expect(daemon.destruction.dueTimeMs(key)).toBeUndefined();
  });

  test('is not destroyed by a clock that goes back', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'DESTROY_SCHEDULED');

    daemon.clock.nowMs -= 365 * DAY_MS;
    await daemon.finish();

    expect(statesOf(await daemon.find())).toEqual(['DESTROY_SCHEDULED']);
  });

  test('is recorded as destroyed at its time where another program has destroyed it', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'DESTROY_SCHEDULED');
    daemon.token.remove('1'.padStart(32, '0'));
    expect(statesOf(await daemon.find())).toEqual(['DESTROY_SCHEDULED']);

    daemon.clock.nowMs += DAY_MS;
    await daemon.finish();

    expect(statesOf(await daemon.find())).toEqual(['DESTROYED']);
    expect(daemon.destroyed).toEqual([]);
  });
});

describe('of two daemons', () => {
  test('one restores what the other has scheduled', async () => {
    const one = startDaemon();
    const other = startDaemon(one.token, one.clock);
    await writeKey(one, 'DESTROY_SCHEDULED');
    await one.find();

    await other.restore();
    one.clock.nowMs += DAY_MS;
    await one.finish();

    expect(statesOf(await one.find())).toEqual(['SUSPENDED']);
  });

  test('one destroys, and neither fails, where both come at the same time', async () => {
    const one = startDaemon();
    const other = startDaemon(one.token, one.clock);
    await writeKey(one, 'DESTROY_SCHEDULED');
    one.clock.nowMs += DAY_MS;

    await Promise.all([one.finish(), other.finish(), one.finish(), other.finish()]);

    expect([...one.destroyed, ...other.destroyed]).toEqual([1]);
    expect(statesOf(await one.find())).toEqual(['DESTROYED']);
  });

  test.each([
    [0, 'restores first'],
    [1, 'destroys first'],
  ])('one restores and one destroys: only one of both is done (%i: %s)', async (first) => {
    const one = startDaemon();
    const other = startDaemon(one.token, one.clock);
    await writeKey(one, 'DESTROY_SCHEDULED');
    one.clock.nowMs += DAY_MS;
    const works = [() => one.restore(), () => other.finish()];

    const calls = first === 0 ? works : works.toReversed();
    const outcomes = await Promise.all(calls.map((call) => outcomeOf(call())));

    const states = statesOf(await one.find());
    const restored = outcomes[first === 0 ? 0 : 1] === 'done';
    expect(states).toEqual([restored ? 'SUSPENDED' : 'DESTROYED']);
    expect(one.token.objects).toBe(restored ? 1 : 0);
  });
});

const STEPS = ['changeRecord', 'setVersionState', 'destroyVersion'] as const;

const gone = new SigildError('TOKEN_UNAVAILABLE', 'the host is gone');

describe.each(STEPS)('a daemon that ends before %s', (step) => {
  test.each(['DEACTIVATED', 'SUSPENDED'] as const)(
    'of a schedule leaves a version that is %s, or scheduled and finished by the next one',
    async (state) => {
      const daemon = startDaemon();
      await writeKey(daemon, state);
      daemon.token.failNext(step, gone);
      await outcomeOf(daemon.schedule());
      const next = startDaemon(daemon.token, daemon.clock);

      await next.finish();

      const key = await next.find();
      const isBegun = step !== 'changeRecord';
      expect(statesOf(key)).toEqual([isBegun ? 'DESTROY_SCHEDULED' : state]);
      expect(key.versions[0]?.isUnfinished).toBeFalsy();
      if (isBegun) {
        await next.restore();
        expect(await outcomeOf(next.update(1, 'ACTIVE'))).toBe(
          state === 'DEACTIVATED' ? 'KEY_STATE_FORBIDS' : 'done',
        );
      }
    },
  );

  test('of a restoration leaves a version that is scheduled still, or suspended', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'DESTROY_SCHEDULED');
    daemon.token.failNext(step, gone);

    const outcome = await outcomeOf(daemon.restore());

    const key = await startDaemon(daemon.token, daemon.clock).find();
    expect(statesOf(key)).toEqual([outcome === 'done' ? 'SUSPENDED' : 'DESTROY_SCHEDULED']);
    expect(key.versions[0]?.isUnfinished).toBeFalsy();
  });

  test('of a destruction leaves one that the next daemon finishes', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'DESTROY_SCHEDULED', 'ACTIVE');
    daemon.clock.nowMs += DAY_MS;
    daemon.token.failNext(step, gone);
    await outcomeOf(daemon.finish());
    const next = startDaemon(daemon.token, daemon.clock);

    await next.finish();

    expect(statesOf(await next.find())).toEqual(['ACTIVE', 'DESTROYED']);
    expect(next.token.objects).toBe(1);
    expect([...daemon.destroyed, ...next.destroyed]).toEqual([1]);
  });
});

test('a daemon that ends between record and object leaves a version that cannot be restored', async () => {
  const daemon = startDaemon();
  await writeKey(daemon, 'DESTROY_SCHEDULED');
  daemon.clock.nowMs += DAY_MS;
  daemon.token.failNext('destroyVersion', gone);
  await outcomeOf(daemon.finish());

  await expectReason(daemon.restore(), 'KEY_STATE_FORBIDS');

  const key = await daemon.find();
  expect(statesOf(key)).toEqual(['DESTROYED']);
  expect(daemon.destruction.dueTimeMs(key)).toBe(0);
});

describe('the name of a key that was destroyed', () => {
  test('is not taken again unless that is asked for', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'DESTROYED', 'DESTROYED');

    await expect(daemon.create(false)).rejects.toThrow(/reuse_name/);
    await expectReason(daemon.rotate(), 'KEY_STATE_FORBIDS');

    expect(statesOf(await daemon.find())).toEqual(['DESTROYED', 'DESTROYED']);
  });

  test('begins again with the number after those that there were', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'DESTROYED', 'DESTROYED');

    const key = await daemon.create(true, 'r1');

    expect(key.versions.map(({ version, state }) => [version, state])).toEqual([
      [3, 'ACTIVE'],
      [2, 'DESTROYED'],
      [1, 'DESTROYED'],
    ]);
    expect(await daemon.create(true, 'r1')).toEqual(key);
    expect(await daemon.create(false, 'r1')).toEqual(key);
    await expectReason(daemon.create(true, 'r2'), 'KEY_ALREADY_EXISTS');
  });

  test('has the settings of its new key, and not those of the one before', async () => {
    const daemon = startDaemon();
    const settings = { rotationPeriodMs: 90 * DAY_MS, destroyable: true };
    await daemon.create(false, undefined, settings);
    await daemon.update(1, 'SUSPENDED');
    const destroyed = await daemon.schedule(1, 0);

    const plain = await daemon.create(true);

    expect(nextRotationMs(destroyed)).toBeUndefined();
    expect(plain.settings).toEqual(DEFAULT_SETTINGS);
  });

  test('is free where there never was one, whatever is asked for', async () => {
    const daemon = startDaemon();

    const key = await daemon.create(true);

    expect(key.versions.map(({ version }) => version)).toEqual([1]);
  });

  test('counts its destroyed versions when it is rotated', async () => {
    const daemon = startDaemon();
    await writeKey(daemon, 'ACTIVE', 'DESTROYED');

    const key = await daemon.rotate();

    expect(statesOf(key)).toEqual(['ACTIVE', 'DESTROYED', 'DEACTIVATED']);
  });
});

describe('on a token that keeps no records', () => {
  test('a destruction is done at once or not at all', async () => {
    const daemon = startDaemon();
    daemon.token.keepsRecords = false;
    await writeKey(daemon, 'SUSPENDED', 'ACTIVE');

    await expect(daemon.schedule(1, DAY_MS)).rejects.toThrow(/a delay of 0/);
    await expectReason(daemon.schedule(1, DAY_MS), 'TOKEN_REFUSED');
    expect(statesOf(await daemon.find())).toEqual(['ACTIVE', 'SUSPENDED']);
    const key = await daemon.schedule(1, 0);

    expect(statesOf(key)).toEqual(['ACTIVE', 'DESTROYED']);
    expect(statesOf(await daemon.find())).toEqual(['ACTIVE']);
  });
});
