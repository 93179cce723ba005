import { expect, test } from 'vitest';
import { median, medianRatio, percentile } from '../../scripts/bench/statistics.ts';

test.each([
  [[7], 7],
  [[3, 1, 2], 2],
  [[4, 1, 3, 2], 2.5],
  [[10, 9, 100], 10],
])('the median of %j is %d', (values, expected) => {
  expect(median(values)).toBe(expected);
});

test('leaves the values in their order', () => {
  const values = [3, 1, 2];

  median(values);

  expect(values).toEqual([3, 1, 2]);
});

test('there is no median of nothing', () => {
  expect(() => median([])).toThrow(RangeError);
});

test.each([
  [0.5, 50],
  [0.99, 99],
  [0.999, 100],
  [1, 100],
])('of 1 to 100, %d do not exceed %d', (share, expected) => {
  const sorted = Float64Array.from({ length: 100 }, (_, index) => index + 1);

  expect(percentile(sorted, share)).toBe(expected);
});

test('a percentile of one value is that value', () => {
  expect(percentile([4], 0.001)).toBe(4);
});

test('there is no percentile of nothing', () => {
  expect(() => percentile([], 0.5)).toThrow(RangeError);
});

test('compares what was measured in the same round', () => {
  const whileTheMachineSlowsDown = [800, 400, 90];
  const reference = [1_000, 500, 100];

  expect(medianRatio(whileTheMachineSlowsDown, reference)).toBe(0.8);
});

test('does not compare rounds with none', () => {
  expect(() => medianRatio([1, 2], [1])).toThrow(RangeError);
});
