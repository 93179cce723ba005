import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { groupByName, type KeyVersion } from '../../src/domain/key.ts';
import type { RecordedState, StampedRecord, VersionRecord } from '../../src/domain/key-record.ts';
import { USAGE_STATES } from '../../src/domain/key-state.ts';
import { recordedVersions } from '../../src/domain/recorded-versions.ts';
import { keyVersion, versionRecord } from '../support/key-version.ts';

function copy(
  state: RecordedState,
  revision = 1,
  nonce = 'a',
  more: Partial<VersionRecord> = {},
): StampedRecord {
  return {
    record: versionRecord({ state, ...more }),
    stamp: { revision, nonce: nonce.repeat(16) },
  };
}

/** What becomes of version 1 of a key. */
function stateOf(object: KeyVersion | undefined, ...copies: readonly StampedRecord[]) {
  return recordedVersions(object ? [object] : [], copies).map(({ state }) => state);
}

describe('a version with a record', () => {
  test.each([
    ['DESTROY_SCHEDULED', 'DESTROY_SCHEDULED'],
    ['RESTORED', 'SUSPENDED'],
    ['DESTROYED', 'DESTROYED'],
  ] as const)('%s is %s', (recorded, state) => {
    expect(stateOf(keyVersion({ state: 'SUSPENDED' }), copy(recorded))).toEqual([state]);
  });

  test.each(USAGE_STATES)(
    'of its schedule is scheduled, though the token lets it be %s',
    (state) => {
      const [version] = recordedVersions([keyVersion({ state })], [copy('DESTROY_SCHEDULED')]);

      expect(version).toMatchObject({
        state: 'DESTROY_SCHEDULED',
        isUnfinished: state !== 'SUSPENDED',
        destruction: { destroyTimeMs: versionRecord().destroyTimeMs },
        attributes: keyVersion().attributes,
      });
    },
  );

  test.each(USAGE_STATES)('of a restoration is what the token lets it be: %s', (state) => {
    const [version] = recordedVersions([keyVersion({ state })], [copy('RESTORED')]);

    expect(version).toEqual({ ...keyVersion({ state }), destruction: copy('RESTORED').record });
  });

  test('of its end is destroyed though its object is there, which is to be destroyed', () => {
    const [version] = recordedVersions([keyVersion()], [copy('DESTROYED')]);

    expect(version).toMatchObject({ state: 'DESTROYED', isUnfinished: true });
    expect(Object.values(version?.attributes ?? {}).every((value) => value === undefined)).toBe(
      true,
    );
  });
});

describe('a record without its version', () => {
  test.each([
    ['DESTROYED', ['DESTROYED']],
    // Another program has destroyed it; at its time it is recorded as destroyed.
    ['DESTROY_SCHEDULED', ['DESTROY_SCHEDULED']],
    ['RESTORED', []],
  ] as const)('%s makes %j', (recorded, states) => {
    expect(stateOf(undefined, copy(recorded))).toEqual(states);
  });

  test('of its end makes a key of its own, with nothing left to do', () => {
    const record = versionRecord({ state: 'DESTROYED' });

    const [key] = groupByName([], [{ record, stamp: { revision: 2, nonce: 'a'.repeat(16) } }]);

    expect(key?.name).toBe(record.key);
    expect(key?.versions).toMatchObject([
      { id: record.id, version: 1, algorithm: 'HMAC_SHA256', createTimeMs: record.createTimeMs },
    ]);
    expect(key?.versions[0]?.isUnfinished).toBeFalsy();
  });
});

describe('of several records of a version', () => {
  test('that of the highest revision counts', () => {
    const copies = [copy('DESTROY_SCHEDULED', 3, 'b'), copy('RESTORED', 2), copy('DESTROYED', 1)];

    expect(stateOf(keyVersion(), ...copies)).toEqual(['DESTROY_SCHEDULED']);
  });

  test('a destruction gives way to another one of its revision while the object is there', () => {
    const [restored, destroyed] = [copy('RESTORED', 2, 'b'), copy('DESTROYED', 2, 'a')];

    expect(stateOf(keyVersion({ state: 'SUSPENDED' }), destroyed, restored)).toEqual(['SUSPENDED']);
    expect(stateOf(undefined, destroyed, restored)).toEqual(['DESTROYED']);
  });

  test('the same one counts in whatever order they are read', () => {
    const anyCopy = fc
      .record({
        state: fc.constantFrom<RecordedState>('DESTROY_SCHEDULED', 'RESTORED', 'DESTROYED'),
        revision: fc.integer({ min: 1, max: 3 }),
        nonce: fc.constantFrom('0', '1', 'e', 'f'),
      })
      .map(({ state, revision, nonce }) => copy(state, revision, nonce));
    const copies = fc.uniqueArray(anyCopy, {
      selector: ({ stamp }) => JSON.stringify(stamp),
    });
    fc.assert(
      fc.property(copies, fc.boolean(), (copies, isThere) => {
        const objects = isThere ? [keyVersion()] : [];

        expect(recordedVersions(objects, copies.toReversed())).toEqual(
          recordedVersions(objects, copies),
        );
      }),
    );
  });
});

test('records change nothing for versions of other keys and of other numbers', () => {
  const versions = [keyVersion({ version: 2 }), keyVersion({ key: 'shop' })];

  const recorded = recordedVersions(versions, [copy('DESTROYED')]);

  expect(recorded.slice(0, 2)).toEqual(versions);
  expect(recorded).toHaveLength(3);
});
