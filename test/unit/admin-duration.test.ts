import { InvalidArgumentError } from 'commander';
import { expect, test } from 'vitest';
import { durationMs } from '../../src/admin/duration.ts';

test.each([
  ['30d', 2_592_000_000],
  ['12h', 43_200_000],
  ['90m', 5_400_000],
  ['10s', 10_000],
  ['0s', 0],
])('%s is %i ms', (text, ms) => {
  expect(durationMs(text)).toBe(ms);
});

test.each(['', '30', 'd', '-1d', '1.5h', '1w', '1 d', '1d2h', '1234567890s', '1D'])(
  '%j is no duration',
  (text) => {
    expect(() => durationMs(text)).toThrow(InvalidArgumentError);
  },
);
