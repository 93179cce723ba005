import { expect, test } from 'vitest';
import { ratiosOf } from '../../scripts/bench/slow-token.ts';

test('compares with a token that takes 2 ms for an operation, and with what it has really taken', () => {
  const ratios = ratiosOf(8, { name: 'slow-token S=8', opsPerSecond: 3_000, tokenMs: 2.5 });

  expect(ratios).toEqual([
    ['slow-token-8/ideal', 0.75],
    ['slow-token-8/token', 0.9375],
  ]);
});

test('the ratios with the most sessions have no number in their names', () => {
  const names = ratiosOf(32, { name: 'slow-token S=32', opsPerSecond: 1, tokenMs: 1 });

  expect(names.map(([name]) => name)).toEqual(['slow-token/ideal', 'slow-token/token']);
});
