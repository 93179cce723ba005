import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import {
  ambiguousVersions,
  assertMayBecome,
  assertUnambiguous,
  groupByName,
  isKeyName,
  parseKeyName,
  primaryOf,
  signingVersion,
  verifyingVersions,
  versionOf,
} from '../../src/domain/key.ts';
import {
  isUsageState,
  KEY_STATES,
  type KeyState,
  maySign,
  mayVerify,
  nextStates,
  stateOf,
  USAGE_STATES,
  usageOf,
} from '../../src/domain/key-state.ts';
import { keyOf, keyVersion, versionRecord } from '../support/key-version.ts';

const active = (version: number) => keyVersion({ version });
const deactivated = (version: number) => keyVersion({ version, state: 'DEACTIVATED' });
const suspended = (version: number) => keyVersion({ version, state: 'SUSPENDED' });
const scheduled = (version: number) => keyVersion({ version, state: 'DESTROY_SCHEDULED' });
const destroyed = (version: number) => keyVersion({ version, state: 'DESTROYED' });

function reasonOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof SigildError) return error.reason;
    throw error;
  }
  return 'none';
}

describe('a key name', () => {
  test.each(['a', 'Z', '0', 'webhooks', 'a.b_c-D', `0${'-'.repeat(62)}`])('may be %j', (name) => {
    expect(isKeyName(name)).toBe(true);
    expect(parseKeyName(name, 'key')).toBe(name);
  });

  test.each(['', '.a', '_a', '-a', 'a b', 'a/b', 'a*', 'é', 'a\n', '\na', 'a\0', 'a'.repeat(64)])(
    'may not be %j',
    (name) => {
      expect(isKeyName(name)).toBe(false);
    },
  );

  test('that is wrong is refused with the name of its field', () => {
    expect(() => parseKeyName('a b', 'parent')).toThrow(
      expect.objectContaining({
        reason: 'FIELD_INVALID',
        violations: [{ field: 'parent', description: expect.any(String) }],
      }),
    );
  });
});

describe('the state of a version', () => {
  test.each([
    [true, true, 'ACTIVE'],
    [true, false, 'ACTIVE'],
    [false, true, 'DEACTIVATED'],
    [false, false, 'SUSPENDED'],
  ] as const)('with sign %s and verify %s on the token is %3$s', (sign, verify, state) => {
    expect(stateOf({ sign, verify })).toBe(state);
  });

  test.each(USAGE_STATES)('%s may do what the token would let it do', (state) => {
    const usage = { sign: maySign(state), verify: mayVerify(state) };

    expect(stateOf(usage)).toBe(state);
  });

  test.each(['DESTROY_SCHEDULED', 'DESTROYED'] as const)('%s may do nothing', (state) => {
    expect([maySign(state), mayVerify(state)]).toEqual([false, false]);
  });
});

describe('a change of the state', () => {
  test.each(USAGE_STATES)('to %s stands on the token as it is read', (state) => {
    expect(stateOf(usageOf(state))).toBe(state);
    expect(isUsageState(state)).toBe(true);
  });

  const ALLOWED: Readonly<Record<KeyState, readonly KeyState[]>> = {
    ACTIVE: ['ACTIVE', 'DEACTIVATED', 'SUSPENDED'],
    DEACTIVATED: ['DEACTIVATED', 'DESTROY_SCHEDULED'],
    SUSPENDED: ['ACTIVE', 'DEACTIVATED', 'SUSPENDED', 'DESTROY_SCHEDULED'],
    DESTROY_SCHEDULED: ['SUSPENDED', 'DESTROY_SCHEDULED', 'DESTROYED'],
    DESTROYED: ['DESTROYED'],
  };

  test.each(
    KEY_STATES.flatMap((from) =>
      KEY_STATES.map((to) => [from, to, ALLOWED[from].includes(to)] as const),
    ),
  )('from %s to %s is allowed: %s', (from, to, isAllowed) => {
    const reason = reasonOf(() => assertMayBecome(keyVersion({ state: from }), to));

    expect(reason).toBe(isAllowed ? 'none' : 'KEY_STATE_FORBIDS');
  });

  test.each(
    KEY_STATES.map((to) => [to, to !== 'ACTIVE' && ALLOWED.SUSPENDED.includes(to)] as const),
  )('of a restored version that was deactivated to %s is allowed: %s', (to, isAllowed) => {
    const version = keyVersion({ state: 'SUSPENDED' });
    const destruction = versionRecord({ state: 'RESTORED', deactivated: true });

    const reason = reasonOf(() => assertMayBecome({ ...version, destruction }, to));

    expect(reason).toBe(isAllowed ? 'none' : 'KEY_STATE_FORBIDS');
  });

  test('never leads from a version that is destroyed to another one', () => {
    expect(nextStates('DESTROYED')).toEqual([]);
  });

  test('that is not allowed is refused with the states that are', () => {
    const become = (from: KeyState, to: KeyState) => () =>
      assertMayBecome(keyVersion({ version: 3, state: from }), to);

    expect(become('DEACTIVATED', 'ACTIVE')).toThrow(
      'version 3 of key webhooks is DEACTIVATED and may not become ACTIVE; ' +
        'allowed: DESTROY_SCHEDULED',
    );
  });

  test.each(['STATE_UNSPECIFIED', 'DESTROY_SCHEDULED', 'DESTROYED', 'active', '', 'toString'])(
    'to %j is not asked for as a state',
    (name) => {
      expect(isUsageState(name)).toBe(false);
    },
  );
});

describe('a key as a whole', () => {
  test('is ambiguous when two objects claim any of its versions', () => {
    expect(reasonOf(() => assertUnambiguous(keyOf(active(2), active(1))))).toBe('none');
    expect(reasonOf(() => assertUnambiguous(keyOf(active(2), active(1), active(1))))).toBe(
      'KEY_AMBIGUOUS',
    );
  });
});

describe('versions as the token gives them', () => {
  const anyVersion = fc.record({
    key: fc.constantFrom('B', 'a', 'b', 'b-1', 'b.1'),
    version: fc.integer({ min: 1, max: 6 }),
  });

  test('become keys in byte order of names, each with its versions newest first', () => {
    fc.assert(
      fc.property(fc.array(anyVersion), (wanted) => {
        const versions = wanted.map(keyVersion);

        const keys = groupByName(versions);

        const names = keys.map((key) => Buffer.from(key.name));
        expect(names).toEqual([...names].sort(Buffer.compare));
        expect(new Set(keys.map((key) => key.name)).size).toBe(keys.length);
        expect(keys.flatMap((key) => key.versions)).toHaveLength(versions.length);
        for (const { name, versions: own } of keys) {
          expect(own.every((version) => version.key === name)).toBe(true);
          const numbers = own.map((version) => version.version);
          expect(numbers).toEqual([...numbers].sort((a, b) => b - a));
        }
      }),
    );
  });

  test('show which version more than one object claims', () => {
    const numbers = fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1 });
    fc.assert(
      fc.property(numbers, (numbers) => {
        const [key] = groupByName(numbers.map(active));

        const twice = ambiguousVersions(key ?? keyOf());

        const expected = [...new Set(numbers)].filter(
          (number) => numbers.filter((other) => other === number).length > 1,
        );
        expect(twice).toEqual(expected.sort((a, b) => b - a));
      }),
    );
  });
});

describe('a version that is asked for', () => {
  test('is found by its number', () => {
    const key = keyOf(active(3), active(1));

    expect(versionOf(key, 1)).toBe(key.versions[1]);
  });

  test('that is not there is not another one', () => {
    const key = keyOf(active(3), active(1));

    expect(() => versionOf(key, 2)).toThrow(/webhooks has no version 2; its newest is 3/);
    expect(reasonOf(() => versionOf(key, 2))).toBe('KEY_VERSION_NOT_FOUND');
  });

  test('is never guessed between two objects', () => {
    const key = keyOf(active(2), keyVersion({ version: 1 }), suspended(1));

    expect(reasonOf(() => versionOf(key, 1))).toBe('KEY_AMBIGUOUS');
    expect(versionOf(key, 2).version).toBe(2);
  });
});

describe('the version that signs', () => {
  test('is the highest ACTIVE one when none is asked for', () => {
    const key = keyOf(suspended(4), deactivated(3), active(2), active(1));

    expect(primaryOf(key)?.version).toBe(2);
    expect(signingVersion(key, undefined).version).toBe(2);
  });

  test('is the one that is asked for', () => {
    expect(signingVersion(keyOf(active(2), active(1)), 1).version).toBe(1);
  });

  test.each([
    ['no version is ACTIVE', keyOf(deactivated(2), suspended(1)), undefined, 'KEY_STATE_FORBIDS'],
    ['it is DEACTIVATED', keyOf(active(2), deactivated(1)), 1, 'KEY_STATE_FORBIDS'],
    ['it is SUSPENDED', keyOf(active(2), suspended(1)), 1, 'KEY_STATE_FORBIDS'],
    ['it is to be destroyed', keyOf(active(2), scheduled(1)), 1, 'KEY_STATE_FORBIDS'],
    ['it is DESTROYED', keyOf(active(2), destroyed(1)), 1, 'KEY_STATE_FORBIDS'],
    ['every version is DESTROYED', keyOf(destroyed(1)), undefined, 'KEY_STATE_FORBIDS'],
    ['it does not exist', keyOf(active(2)), 1, 'KEY_VERSION_NOT_FOUND'],
    ['two objects claim the primary', keyOf(active(2), suspended(2)), undefined, 'KEY_AMBIGUOUS'],
    ['two objects claim it', keyOf(active(2), active(1), active(1)), 1, 'KEY_AMBIGUOUS'],
  ] as const)('is refused when %s', (_, key, requested, reason) => {
    expect(reasonOf(() => signingVersion(key, requested))).toBe(reason);
  });

  test('is not kept from signing by two objects that claim an older version', () => {
    const key = keyOf(active(2), active(1), active(1));

    expect(signingVersion(key, undefined).version).toBe(2);
  });
});

describe('the versions that verify', () => {
  test('are all that may, newest first, when none is asked for', () => {
    const key = keyOf(
      ...[destroyed(6), scheduled(5), active(4)],
      ...[suspended(3), deactivated(2), active(1)],
    );

    const versions = verifyingVersions(key, undefined).map((version) => version.version);

    expect(versions).toEqual([4, 2, 1]);
  });

  test.each([active(1), deactivated(1)])('are the one that is asked for: $state', (version) => {
    expect(verifyingVersions(keyOf(active(2), version), 1)).toEqual([version]);
  });

  test.each([
    ['none may', keyOf(suspended(2), suspended(1)), undefined, 'KEY_STATE_FORBIDS'],
    ['the one is SUSPENDED', keyOf(active(2), suspended(1)), 1, 'KEY_STATE_FORBIDS'],
    ['the one is to be destroyed', keyOf(active(2), scheduled(1)), 1, 'KEY_STATE_FORBIDS'],
    ['the one is DESTROYED', keyOf(active(2), destroyed(1)), 1, 'KEY_STATE_FORBIDS'],
    ['every version is DESTROYED', keyOf(destroyed(1)), undefined, 'KEY_STATE_FORBIDS'],
    ['the one does not exist', keyOf(active(2)), 1, 'KEY_VERSION_NOT_FOUND'],
    ['two objects claim one', keyOf(active(2), active(1), active(1)), undefined, 'KEY_AMBIGUOUS'],
    ['two objects claim the one', keyOf(active(1), suspended(1)), 1, 'KEY_AMBIGUOUS'],
  ] as const)('are refused when %s', (_, key, requested, reason) => {
    expect(reasonOf(() => verifyingVersions(key, requested))).toBe(reason);
  });
});
