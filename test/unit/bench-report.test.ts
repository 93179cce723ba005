import { expect, test } from 'vitest';
import { outcomeJson, outcomeTable } from '../../scripts/bench/report.ts';
import { MACHINE } from '../support/bench-machine.ts';

const OUTCOME = {
  rows: [
    { name: 'unary', opsPerSecond: 900.4, p50Ms: 1.23456, p99Ms: 20 },
    { name: 'empty-server', opsPerSecond: 12_000, p50Ms: 0.5 },
  ],
  ratios: { 'unary/empty-server': 0.07503 },
};

test('a table has the figures that any row has, in columns', () => {
  expect(outcomeTable(OUTCOME).split('\n')).toEqual([
    '               ops/s  p50 ms  p99 ms',
    'unary            900   1.235  20.000',
    'empty-server  12,000   0.500',
    'unary/empty-server = 0.075',
  ]);
});

test('the JSON is one line, with rounded figures and no others', () => {
  const json = outcomeJson('unary', MACHINE, OUTCOME);

  expect(json).not.toContain('\n');
  expect(JSON.parse(json)).toEqual({
    scenario: 'unary',
    machine: MACHINE,
    rows: [
      { name: 'unary', opsPerSecond: 900, p50Ms: 1.235, p99Ms: 20 },
      { name: 'empty-server', opsPerSecond: 12_000, p50Ms: 0.5 },
    ],
    ratios: { 'unary/empty-server': 0.075 },
  });
});
