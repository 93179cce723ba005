import { describe, expect, test } from 'vitest';
import { namePattern } from '../../src/domain/name-pattern.ts';
import {
  AccessPolicy,
  type Grant,
  keyNotFound,
  OPERATIONS,
  type Operation,
} from '../../src/service/access-policy.ts';

function grant(pattern: string, ...operations: readonly Operation[]): Grant {
  return { keys: [namePattern(pattern)], operations };
}

function policyOf(grants: Readonly<Record<string, readonly Grant[]>>): AccessPolicy {
  return new AccessPolicy(new Map(Object.entries(grants)));
}

const policy = policyOf({
  signer: [grant('shop-*', 'sign')],
  reader: [grant('*', 'listKeys', 'getKey'), grant('shop-eu', 'verify')],
  empty: [],
});

describe('a client', () => {
  test.each([
    ['signer', 'sign', 'shop-eu'],
    ['reader', 'getKey', 'anything'],
    ['reader', 'verify', 'shop-eu'],
  ] as const)('%s may %s with %s', (client, operation, key) => {
    expect(() => policy.authorize(client, operation, key)).not.toThrow();
  });

  test.each([
    ['signer', 'verify', 'shop-eu'],
    ['signer', 'getKey', 'shop-eu'],
    ['reader', 'verify', 'shop-us'],
    ['reader', 'sign', 'shop-eu'],
  ] as const)('%s sees but may not %s with %s', (client, operation, key) => {
    expect(() => policy.authorize(client, operation, key)).toThrow(
      expect.objectContaining({ reason: 'PERMISSION_DENIED' }),
    );
  });

  test.each([
    ['signer', 'sign', 'shop'],
    ['signer', 'getKey', 'other'],
    ['empty', 'sign', 'shop-eu'],
    ['stranger', 'sign', 'shop-eu'],
    ['__proto__', 'sign', 'shop-eu'],
  ] as const)(
    '%s that may not see a key gets for %s with %s what a missing key gets',
    (client, operation, key) => {
      expect(() => policy.authorize(client, operation, key)).toThrow(
        expect.objectContaining({ reason: 'KEY_NOT_FOUND', message: keyNotFound(key).message }),
      );
    },
  );

  test.each(['signer', 'empty', 'stranger'])(
    '%s that may not create a key is told so whether or not it is there',
    (client) => {
      for (const key of ['shop-eu', 'other']) {
        for (const operation of ['createKey', 'importKey'] as const) {
          expect(() => policy.authorize(client, operation, key)).toThrow(
            expect.objectContaining({ reason: 'PERMISSION_DENIED' }),
          );
        }
      }
    },
  );

  test('gets no operation on a key from a grant on another', () => {
    const split = policyOf({ one: [grant('a', 'sign'), grant('b', 'verify')] });

    expect(() => split.authorize('one', 'sign', 'a')).not.toThrow();
    expect(() => split.authorize('one', 'sign', 'b')).toThrow();
  });
});

describe('a list', () => {
  test('shows the keys on which listKeys is granted, by any grant', () => {
    const listable = policyOf({
      one: [grant('a-*', 'listKeys'), grant('b', 'listKeys', 'sign'), grant('c', 'sign')],
    }).listable('one');

    expect(['a-1', 'b', 'c', 'd'].filter(listable)).toEqual(['a-1', 'b']);
  });

  test.each(['signer', 'empty', 'stranger'])('is denied to %s, who may list no key', (client) => {
    expect(() => policy.listable(client)).toThrow(
      expect.objectContaining({ reason: 'PERMISSION_DENIED' }),
    );
  });
});

describe('the token', () => {
  const known = policyOf({
    operator: [grant('nothing', 'sign'), grant('other', 'getTokenInfo')],
    signer: [grant('*', 'sign')],
  });

  test('is shown to a client with a grant of it on any key', () => {
    expect(() => known.authorizeTokenInfo('operator')).not.toThrow();
  });

  test.each(['signer', 'stranger'])('is not shown to %s', (client) => {
    expect(() => known.authorizeTokenInfo(client)).toThrow(
      expect.objectContaining({ reason: 'PERMISSION_DENIED' }),
    );
  });
});

describe('an import key', () => {
  const known = policyOf({
    importer: [grant('partner-*', 'importKey')],
    signer: [grant('*', 'sign', 'createKey')],
  });

  test('is made for a client that may import any key', () => {
    expect(() => known.authorizeImportKey('importer')).not.toThrow();
  });

  test.each(['signer', 'stranger'])('is not made for %s', (client) => {
    expect(() => known.authorizeImportKey(client)).toThrow(
      expect.objectContaining({ reason: 'PERMISSION_DENIED' }),
    );
  });
});

test('nothing but these operations can be granted', () => {
  expect(OPERATIONS).toEqual([
    ...['createKey', 'importKey', 'getKey', 'listKeys', 'getPublicKey', 'rotateKey', 'updateKey'],
    ...['updateKeyVersion', 'scheduleDestroy', 'restore', 'sign', 'verify', 'getTokenInfo'],
  ]);
});

describe('a grant with an expiry', () => {
  const EXPIRES_AT_MS = Date.parse('2027-01-01T00:00:00Z');
  const until = (granted: Grant): Grant => ({ ...granted, expiresAtMs: EXPIRES_AT_MS });

  /** What a client may do, and a function that sets its clock. */
  function policyWithClock(...grants: readonly Grant[]) {
    let nowMs = EXPIRES_AT_MS - 1;
    const timed = new AccessPolicy(new Map([['client', grants]]), () => nowMs);
    return { timed, expire: () => (nowMs = EXPIRES_AT_MS) };
  }

  test('counts until its time, and from then on gives nothing', () => {
    const { timed, expire } = policyWithClock(until(grant('*', 'sign', 'listKeys')));
    expect(timed.allows('client', 'sign', 'shop')).toBe(true);
    expect(timed.listable('client')('shop')).toBe(true);

    expire();

    expect(timed.allows('client', 'sign', 'shop')).toBe(false);
    expect(() => timed.authorize('client', 'sign', 'shop')).toThrow(
      expect.objectContaining({ reason: 'KEY_NOT_FOUND', message: keyNotFound('shop').message }),
    );
    expect(() => timed.listable('client')).toThrow(/its grant expired at 2027-01-01T00:00:00.000Z/);
  });

  test('is told of to a client that sees the key by another grant', () => {
    const { timed, expire } = policyWithClock(until(grant('*', 'sign')), grant('shop', 'getKey'));

    expire();

    expect(() => timed.authorize('client', 'sign', 'shop')).toThrow(
      expect.objectContaining({
        reason: 'PERMISSION_DENIED',
        message: expect.stringContaining('its grant expired at 2027-01-01T00:00:00.000Z'),
      }),
    );
    expect(() => timed.authorize('client', 'verify', 'shop')).toThrow(/configuration grants it/);
  });

  test('leaves the other grants of the client as they are', () => {
    const { timed, expire } = policyWithClock(until(grant('*', 'sign')), grant('shop', 'sign'));

    expire();

    expect(() => timed.authorize('client', 'sign', 'shop')).not.toThrow();
  });
});

test('other grants count for the next request', () => {
  const replaced = policyOf({ old: [grant('*', 'sign')] });

  replaced.replace(new Map([['new', [grant('*', 'sign')]]]));

  expect(replaced.allows('old', 'sign', 'shop')).toBe(false);
  expect(replaced.allows('new', 'sign', 'shop')).toBe(true);
});
