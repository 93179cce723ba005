import { expect, test } from 'vitest';
import { ratiosOf } from '../../scripts/bench/slow-token.ts';

const c = { name: 'c 8 threads', opsPerSecond: 3_750 };

test('compares with a token of 2 ms an operation, with what it really took, and with C', () => {
  const ratios = ratiosOf(8, { name: 'slow-token S=8', opsPerSecond: 3_000, tokenMs: 2.5 }, c);

  expect(ratios).toEqual([
    ['slow-token-8/ideal', 0.75],
    ['slow-token-8/token', 0.9375],
    ['slow-token-8/c', 0.8],
  ]);
});

test('the ratios with the most sessions have no number in their names', () => {
  const names = ratiosOf(32, { name: 'slow-token S=32', opsPerSecond: 1, tokenMs: 1 }, c);

  expect(names.map(([name]) => name)).toEqual([
    'slow-token/ideal',
    'slow-token/token',
    'slow-token/c',
  ]);
});
