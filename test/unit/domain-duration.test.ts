import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  durationText,
  milliseconds,
  parseDuration,
  roughDurationText,
  secondsAndNanos,
} from '../../src/domain/duration.ts';

describe('a duration', () => {
  test.each([
    ['90d', 7_776_000_000],
    ['12h', 43_200_000],
    ['30m', 1_800_000],
    ['45s', 45_000],
    ['500ms', 500],
    ['0d', 0],
  ])('%s is read in milliseconds', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each(['', '90', 'd', '-1d', '1.5h', '1 d', '1D', '1w', '1d12h', '1234567890123d'])(
    'is not read from "%s"',
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );

  test('is written as it is read', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e12 }), (ms) => {
        expect(parseDuration(durationText(ms))).toBe(ms);
      }),
    );
  });

  test.each([
    [7_776_000_000, '90d'],
    [5_400_000, '90m'],
    [1_500, '1500ms'],
  ])('of %i ms is written in its largest whole unit', (ms, text) => {
    expect(durationText(ms)).toBe(text);
  });

  test.each([
    [0, '0s'],
    [999, '999ms'],
    [59_999, '59s'],
    [3_600_000, '1h'],
    [200_000_000, '2d'],
  ])('of %i ms is told roughly', (ms, text) => {
    expect(roughDurationText(ms)).toBe(text);
  });

  test('travels as seconds and nanoseconds', () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 48 }), (ms) => {
        expect(milliseconds(secondsAndNanos(ms))).toBeCloseTo(ms, 6);
      }),
    );
    expect(secondsAndNanos(1_700_000_000_123)).toEqual({
      seconds: 1_700_000_000,
      nanos: 123_000_000,
    });
  });
});
