import { describe, expect, test } from 'vitest';
import { ALGORITHM_NAMES, type Algorithm } from '../../src/domain/algorithm.ts';
import { type ErrorReason, SigildError } from '../../src/domain/errors.ts';
import type { Key } from '../../src/domain/key.ts';
import type { KeyState, UsageState } from '../../src/domain/key-state.ts';
import { namePattern } from '../../src/domain/name-pattern.ts';
import { AccessPolicy, type Grant, OPERATIONS } from '../../src/service/access-policy.ts';
import { KeyCatalog } from '../../src/service/key-catalog.ts';
import { KeyLifecycle, type RotateKeyItem } from '../../src/service/key-lifecycle.ts';
import { Turns } from '../../src/service/turns.ts';
import { FakeToken } from '../support/fake-token.ts';

const { signal } = new AbortController();
const VALUE = Buffer.alloc(32, 7);

const GRANTS: readonly [string, readonly Grant[]][] = [
  ['admin', [{ keys: [namePattern('*')], operations: OPERATIONS }]],
  ['second', [{ keys: [namePattern('*')], operations: OPERATIONS }]],
  ['reader', [{ keys: [namePattern('*')], operations: ['getKey'] }]],
];

/** A daemon's services on a token, which may be shared with another daemon's. */
function startLifecycle(token = new FakeToken(), enabled: readonly Algorithm[] = ALGORITHM_NAMES) {
  const catalog = new KeyCatalog({ token, lookupTimeoutMs: 1_000, onAmbiguous: () => undefined });
  const lifecycle = new KeyLifecycle({
    token,
    catalog,
    policy: new AccessPolicy(new Map(GRANTS)),
    enabledAlgorithms: new Set(enabled),
    turns: new Turns(),
  });
  const rotate = (options: Partial<RotateKeyItem> = {}, client = 'admin') =>
    lifecycle.rotateKey(
      { client, signal },
      { key: 'webhooks', keepActive: false, requestId: undefined, ...options },
    );
  const update = (version: number, state: UsageState, client = 'admin') =>
    lifecycle.updateKeyVersion({ client, signal }, { key: 'webhooks', version, state });
  return { token, catalog, lifecycle, rotate, update };
}

/** A key whose versions have these states, the newest last. */
function writeKey(token: FakeToken, ...states: readonly KeyState[]): void {
  for (const [index, state] of states.entries()) {
    const version = index + 1;
    const id = version.toString(16).padStart(32, '0');
    token.writeKey('webhooks', VALUE, 'HMAC_SHA384', version, id);
    token.setState(id, state);
  }
}

function statesOf(key: Key): [number, KeyState][] {
  return key.versions.map(({ version, state }) => [version, state]);
}

function expectReason(work: Promise<unknown>, reason: ErrorReason): Promise<void> {
  return expect(work).rejects.toMatchObject({ reason });
}

describe('a rotation', () => {
  test.each([
    ['the primary', ['ACTIVE'], ['DEACTIVATED']],
    ['every ACTIVE version', ['ACTIVE', 'ACTIVE'], ['DEACTIVATED', 'DEACTIVATED']],
    ['no version that is not ACTIVE', ['DEACTIVATED', 'SUSPENDED'], ['DEACTIVATED', 'SUSPENDED']],
  ] as const)('makes the next version and deactivates %s', async (_, before, after) => {
    const { token, rotate, catalog } = startLifecycle();
    writeKey(token, ...before);

    const key = await rotate();

    const states = statesOf(key).reverse();
    expect(states.map(([, state]) => state)).toEqual([...after, 'ACTIVE']);
    expect(key.versions[0]).toMatchObject({
      version: before.length + 1,
      algorithm: 'HMAC_SHA384',
      createTimeMs: expect.any(Number),
    });
    expect(catalog.peek('webhooks')).toEqual(key);
  });

  test('keeps the versions before it ACTIVE when it is asked to, until the next one', async () => {
    const { token, rotate } = startLifecycle();
    writeKey(token, 'ACTIVE');

    const overlapping = await rotate({ keepActive: true });
    const after = await rotate();

    expect(statesOf(overlapping)).toEqual([
      [2, 'ACTIVE'],
      [1, 'ACTIVE'],
    ]);
    expect(statesOf(after)).toEqual([
      [3, 'ACTIVE'],
      [2, 'DEACTIVATED'],
      [1, 'DEACTIVATED'],
    ]);
  });

  test('makes the new version before it deactivates the old one', async () => {
    const { token, rotate, catalog } = startLifecycle();
    writeKey(token, 'ACTIVE');
    token.failNext('setVersionState', new SigildError('TOKEN_UNAVAILABLE', 'gone'));

    await expectReason(rotate(), 'TOKEN_UNAVAILABLE');

    const left = catalog.peek('webhooks') as Key;
    expect(statesOf(left)).toEqual([
      [2, 'ACTIVE'],
      [1, 'ACTIVE'],
    ]);
  });

  test('of one request id is made once, and finished by its repetition', async () => {
    const { token, rotate } = startLifecycle();
    writeKey(token, 'ACTIVE');
    token.failNext('setVersionState', new SigildError('TOKEN_UNAVAILABLE', 'gone'));
    await expectReason(rotate({ requestId: 'r1' }), 'TOKEN_UNAVAILABLE');

    const finished = await rotate({ requestId: 'r1' });

    expect(statesOf(finished)).toEqual([
      [2, 'ACTIVE'],
      [1, 'DEACTIVATED'],
    ]);
    expect(await rotate({ requestId: 'r1' })).toEqual(finished);
    expect(token.calls.createVersion).toBe(1);
  });

  test('that is repeated after another one changes nothing', async () => {
    const { token, rotate } = startLifecycle();
    writeKey(token, 'ACTIVE');
    await rotate({ requestId: 'r1', keepActive: true });
    const after = await rotate({ requestId: 'r2', keepActive: true });

    expect(await rotate({ requestId: 'r1' })).toEqual(after);
  });

  test.each([
    ['another request id', { requestId: 'r2' }, 'admin'],
    ['no request id', {}, 'admin'],
    ['the same request id of another client', { requestId: 'r1' }, 'second'],
  ] as const)('is made again for %s', async (_, options, client) => {
    const { token, rotate } = startLifecycle();
    writeKey(token, 'ACTIVE');
    await rotate({ requestId: 'r1' });

    const key = await rotate(options, client);

    expect(key.versions).toHaveLength(3);
  });

  test('follows another one when two are asked for at once', async () => {
    const { token, rotate } = startLifecycle();
    writeKey(token, 'ACTIVE');
    token.latencyMs = 1;

    const keys = await Promise.all([rotate(), rotate()]);

    expect(keys.map((key) => key.versions[0]?.version)).toEqual([2, 3]);
    expect(statesOf(keys[1])).toEqual([
      [3, 'ACTIVE'],
      [2, 'DEACTIVATED'],
      [1, 'DEACTIVATED'],
    ]);
  });

  test('by two daemons at the same moment makes one version, which both return', async () => {
    const token = new FakeToken();
    writeKey(token, 'ACTIVE');
    token.latencyMs = 1;
    const daemons = [startLifecycle(token), startLifecycle(token)];

    const keys = await Promise.all(daemons.map(({ rotate }) => rotate()));

    for (const key of keys) {
      expect(statesOf(key)).toEqual([
        [2, 'ACTIVE'],
        [1, 'DEACTIVATED'],
      ]);
    }
  });

  test('that has begun is finished when its caller has gone', async () => {
    const { token, lifecycle, catalog } = startLifecycle();
    writeKey(token, 'ACTIVE');
    const caller = new AbortController();
    const release = token.hold();
    const item = { key: 'webhooks', keepActive: false, requestId: undefined };
    const call = lifecycle.rotateKey({ client: 'admin', signal: caller.signal }, item);
    await new Promise(setImmediate);

    const gone = new SigildError('CANCELLED', 'gone');
    caller.abort(gone);
    release();

    await expect(call).rejects.toBe(gone);
    await expect
      .poll(() => statesOf(catalog.peek('webhooks') as Key))
      .toEqual([
        [2, 'ACTIVE'],
        [1, 'DEACTIVATED'],
      ]);
  });

  test.each([
    ['a key that is not there', 'other', 'admin', 'KEY_NOT_FOUND'],
    ['a caller who may only read it', 'webhooks', 'reader', 'PERMISSION_DENIED'],
    ['a stranger', 'webhooks', 'nobody', 'KEY_NOT_FOUND'],
  ] as const)('is refused for %s', async (_, key, client, reason) => {
    const { token, rotate } = startLifecycle();
    writeKey(token, 'ACTIVE');

    await expectReason(rotate({ key }, client), reason);
    expect(token.calls.createVersion).toBe(0);
  });

  test('is refused for a key whose algorithm is not enabled', async () => {
    const { token, rotate } = startLifecycle(new FakeToken(), ['HMAC_SHA256']);
    writeKey(token, 'ACTIVE');

    await expectReason(rotate(), 'ALGORITHM_DISABLED');
  });

  test('is refused for a key of which two objects claim one version', async () => {
    const { token, rotate } = startLifecycle();
    writeKey(token, 'ACTIVE');
    token.writeKey('webhooks', VALUE, 'HMAC_SHA384', 1);

    await expectReason(rotate(), 'KEY_AMBIGUOUS');
    expect(token.calls.createVersion).toBe(0);
  });
});

describe('a change of a version’s state', () => {
  test('is on the token and known when it is answered', async () => {
    const { token, update, catalog } = startLifecycle();
    writeKey(token, 'ACTIVE', 'ACTIVE');

    const key = await update(1, 'SUSPENDED');

    expect(statesOf(key)).toEqual([
      [2, 'ACTIVE'],
      [1, 'SUSPENDED'],
    ]);
    expect(catalog.peek('webhooks')).toEqual(key);
    expect(await token.findKey('webhooks', signal)).toEqual(key);
  });

  test('is decided by what the token says, not by what was known', async () => {
    const { token, update, catalog } = startLifecycle();
    writeKey(token, 'ACTIVE');
    await catalog.refresh();
    token.setState('1'.padStart(32, '0'), 'DEACTIVATED');

    await expect(update(1, 'SUSPENDED')).rejects.toMatchObject({
      reason: 'KEY_STATE_FORBIDS',
      message: expect.stringContaining('allowed: DESTROY_SCHEDULED'),
    });
    expect(token.calls.setVersionState).toBe(0);
  });

  test('to the state that it has already succeeds', async () => {
    const { token, update } = startLifecycle();
    writeKey(token, 'DEACTIVATED');

    expect(statesOf(await update(1, 'DEACTIVATED'))).toEqual([[1, 'DEACTIVATED']]);
  });

  test('waits for a rotation of the same key', async () => {
    const { token, rotate, update } = startLifecycle();
    writeKey(token, 'ACTIVE');
    token.latencyMs = 1;

    const [, key] = await Promise.all([rotate({ keepActive: true }), update(2, 'SUSPENDED')]);

    expect(statesOf(key)).toEqual([
      [2, 'SUSPENDED'],
      [1, 'ACTIVE'],
    ]);
  });

  test.each([
    ['a version that is not there', 3, 'admin', 'KEY_VERSION_NOT_FOUND'],
    ['a caller who may only read it', 1, 'reader', 'PERMISSION_DENIED'],
    ['a stranger', 1, 'nobody', 'KEY_NOT_FOUND'],
  ] as const)('is refused for %s', async (_, version, client, reason) => {
    const { token, update } = startLifecycle();
    writeKey(token, 'ACTIVE');

    await expectReason(update(version, 'SUSPENDED', client), reason);
    expect(token.calls.setVersionState).toBe(0);
  });
});
