import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ALGORITHM_NAMES } from '../../src/domain/algorithm.ts';
import { groupByName } from '../../src/domain/key.ts';
import {
  countingRecord,
  DEFAULT_SETTINGS,
  decodeRecord,
  encodeRecord,
  type KeyRecord,
  MAX_RECORD_BYTES,
  type SettingsRecord,
  type Stamp,
  type StampedRecord,
} from '../../src/domain/key-record.ts';
import { keyVersion } from '../support/key-version.ts';

const DAY_MS = 86_400_000;

const hex = (digits: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: digits, maxLength: digits });

const place = {
  key: fc.constant('webhooks'),
  id: hex(32),
  version: fc.integer({ min: 1, max: 9 }),
};

const timeMs = fc.integer({ min: 0, max: Date.UTC(2100, 0, 1) });

const record: fc.Arbitrary<KeyRecord> = fc.oneof(
  fc.record({
    ...{ kind: fc.constant('settings' as const), ...place },
    settings: fc.record({
      rotationPeriodMs: fc.option(fc.integer({ min: 1, max: 3_650 * DAY_MS }), { nil: undefined }),
      destroyable: fc.boolean(),
    }),
  }),
  fc.record({
    ...{ kind: fc.constant('version' as const), ...place },
    algorithm: fc.constantFrom(...ALGORITHM_NAMES),
    state: fc.constantFrom('DESTROY_SCHEDULED', 'DESTROYED', 'RESTORED'),
    ...{ destroyTimeMs: timeMs, deactivated: fc.boolean() },
    createTimeMs: fc.option(timeMs, { nil: undefined }),
  }),
);

const stamp = fc.record({ revision: fc.integer({ min: 1, max: 2 ** 40 }), nonce: hex(16) });

function settings(changes: Partial<SettingsRecord> = {}, mark: Partial<Stamp> = {}): StampedRecord {
  return {
    record: {
      ...{ kind: 'settings', key: 'webhooks', id: keyVersion().id, version: 1 },
      settings: { rotationPeriodMs: DAY_MS, destroyable: false },
      ...changes,
    },
    stamp: { revision: 1, nonce: '0'.repeat(16), ...mark },
  };
}

describe('a record', () => {
  test('is read as it was written, and fits', () => {
    fc.assert(
      fc.property(fc.record({ record, stamp }), (written) => {
        const text = encodeRecord(written);

        expect(decodeRecord('webhooks', text)).toEqual(written);
        expect(text.length).toBeLessThanOrEqual(MAX_RECORD_BYTES);
      }),
    );
  });

  test('does not tell the name of its key, which is its label', () => {
    expect(encodeRecord(settings())).not.toContain('webhooks');
  });

  const whole = JSON.parse(encodeRecord(settings())) as Record<string, unknown>;

  test.each([
    ['no JSON', '{"kind":'],
    ['a text', '"settings"'],
    ['a list', '[]'],
    ['null', 'null'],
    ['another kind', JSON.stringify({ ...whole, kind: 'labels' })],
    ['a field that it does not know', JSON.stringify({ ...whole, delay: 1 })],
    ['a setting that it does not know', changed({ rotationPeriodMs: 1, destroyable: true, x: 1 })],
    ['a setting of another type', changed({ destroyable: 'no' })],
    ['a period of nothing', changed({ rotationPeriodMs: 0, destroyable: true })],
    ['no settings', JSON.stringify({ ...whole, settings: undefined })],
    ['no revision', JSON.stringify({ ...whole, revision: undefined })],
    ['a revision that is no number', JSON.stringify({ ...whole, revision: '1' })],
    ['a nonce of another length', JSON.stringify({ ...whole, nonce: 'ab' })],
    ['an id that is none', JSON.stringify({ ...whole, id: 'x'.repeat(32) })],
    ['a version that is none', JSON.stringify({ ...whole, version: 0 })],
  ])('cannot be read from %s', (_, text) => {
    expect(decodeRecord('webhooks', text)).toBeUndefined();
  });

  function changed(value: unknown): string {
    return JSON.stringify({ ...whole, settings: value });
  }

  test('is never read wrongly, and reading never fails', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(decodeRecord('webhooks', text)).toBeUndefined();
      }),
    );
  });
});

describe('of several copies of a record', () => {
  test('that of the highest revision counts', () => {
    const older = settings({}, { revision: 9 });
    const newer = settings({}, { revision: 10 });

    expect(countingRecord([older, newer])).toBe(newer);
    expect(countingRecord([newer, older])).toBe(newer);
  });

  test('the one with the lowest nonce counts where their revisions are the same', () => {
    const one = settings({}, { nonce: '1'.repeat(16) });
    const other = settings({}, { nonce: '2'.repeat(16) });

    expect(countingRecord([one, other])).toBe(one);
    expect(countingRecord([other, one])).toBe(one);
  });
});

describe('a key', () => {
  const [first, second] = [keyVersion(), keyVersion({ version: 2 })];

  test('has the default settings without a record', () => {
    expect(groupByName([first])).toEqual([
      { name: 'webhooks', versions: [first], settings: DEFAULT_SETTINGS },
    ]);
  });

  test('has the settings of the version that it began with', () => {
    const [key] = groupByName([first, second], [settings()]);

    expect(key).toEqual({
      name: 'webhooks',
      versions: [second, first],
      settings: { rotationPeriodMs: DAY_MS, destroyable: false },
    });
  });

  test('keeps its settings when another tool has destroyed that version', () => {
    const [key] = groupByName([second], [settings()]);

    expect(key?.settings.destroyable).toBe(false);
  });

  test('has no settings of a creation that came to nothing, which are left over', () => {
    const stray = settings({ id: 'f'.repeat(32) });

    const [key] = groupByName([first], [stray]);

    expect(key).toMatchObject({ settings: DEFAULT_SETTINGS, leftovers: [stray.stamp] });
  });

  test('has no settings of a creation that is of a later version than any', () => {
    const [key] = groupByName([first], [settings({ version: 2, id: second.id })]);

    expect(key?.settings).toEqual(DEFAULT_SETTINGS);
  });

  test('has no settings of another name', () => {
    const [key] = groupByName([first], [settings({ key: 'shop' })]);

    expect(key).toEqual({ name: 'webhooks', versions: [first], settings: DEFAULT_SETTINGS });
  });

  test('tells of copies of its settings that do not count', () => {
    const older = settings({ settings: DEFAULT_SETTINGS }, { revision: 1 });
    const newer = settings({}, { revision: 2 });

    const [key] = groupByName([first], [older, newer]);

    expect(key).toMatchObject({
      settings: { rotationPeriodMs: DAY_MS, destroyable: false },
      leftovers: [older.stamp],
    });
  });

  test('is not made by records alone', () => {
    expect(groupByName([], [settings()])).toEqual([]);
  });
});
