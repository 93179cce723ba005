import { describe, expect, test } from 'vitest';
import type { Key, KeyVersion } from '../../src/domain/key.ts';
import { encodeVersionId, TAG_BYTES } from '../../src/domain/version-id.ts';
import { automaticTag, dueStep } from '../../src/service/due-rotation.ts';
import { keyOf, keyVersion } from '../support/key-version.ts';

const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2026, 5, 1);

function rotating(...versions: readonly KeyVersion[]): Key {
  return { ...keyOf(...versions), settings: { rotationPeriodMs: DAY_MS, destroyable: true } };
}

/** A version of that age. */
function version(number: number, ageMs: number, changes: Partial<KeyVersion> = {}): KeyVersion {
  return keyVersion({ version: number, createTimeMs: NOW_MS - ageMs, ...changes });
}

/** One that a daemon made by itself. */
function automatic(number: number, changes: Partial<KeyVersion> = {}): KeyVersion {
  const tag = automaticTag('webhooks', number);
  const id = Buffer.from(encodeVersionId({ createTimeMs: NOW_MS, version: number, tag }));
  return version(number, 0, { id: id.toString('hex'), ...changes });
}

describe('a key with a rotation period', () => {
  test.each([
    ['is not due while its newest version is younger', DAY_MS - 1, undefined],
    ['is due when its newest version is as old', DAY_MS, 'rotate'],
    ['is due once after many periods', 100 * DAY_MS, 'rotate'],
    ['is not due when its newest version is from the future', -DAY_MS, undefined],
  ])('%s', (_, ageMs, step) => {
    expect(dueStep(rotating(version(1, ageMs)), NOW_MS)).toBe(step);
  });

  test('goes by its newest version, whatever its state', () => {
    const key = rotating(version(2, 0, { state: 'SUSPENDED' }), version(1, 2 * DAY_MS));

    expect(dueStep(key, NOW_MS)).toBeUndefined();
  });

  test('is never due when another tool made its newest version', () => {
    expect(dueStep(rotating(version(1, 0, { createTimeMs: undefined })), NOW_MS)).toBeUndefined();
  });

  test('is to be finished when a daemon made a version and deactivated none', () => {
    expect(dueStep(rotating(automatic(2), version(1, DAY_MS)), NOW_MS)).toBe('finish');
  });

  test.each([
    ['its predecessors are not ACTIVE', [automatic(2), version(1, DAY_MS, { state: 'SUSPENDED' })]],
    ['a client made the newest version', [version(2, 0), version(1, DAY_MS)]],
    ['its newest version is suspended', [automatic(2, { state: 'SUSPENDED' }), version(1, DAY_MS)]],
    ['another object claims its newest version', [automatic(2), version(2, 0)]],
  ])('is not to be finished when %s', (_, versions) => {
    expect(dueStep(rotating(...versions), NOW_MS)).toBeUndefined();
  });
});

test('a key without a rotation period is left alone', () => {
  expect(dueStep(keyOf(automatic(2), version(1, 2 * DAY_MS)), NOW_MS)).toBeUndefined();
});

test('two daemons make two ids, though they agree on what an automatic version is', () => {
  const tags = Array.from({ length: 8 }, () => Buffer.from(automaticTag('webhooks', 2)));

  expect(tags.every((tag) => tag.byteLength === TAG_BYTES)).toBe(true);
  expect(new Set(tags.map((tag) => tag.toString('hex'))).size).toBe(8);
});
