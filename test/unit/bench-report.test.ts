import { expect, test } from 'vitest';
import { outcomeJson, outcomeTable } from '../../scripts/bench/report.ts';

const MACHINE = {
  date: '2026-01-01T00:00:00.000Z',
  cores: 2,
  cpu: 'a processor',
  kernel: '6.1',
  node: '20.0.0',
  softHsm: '2.6.1',
  h2load: '1.52.0',
  loadAverage: 0.5,
};

const OUTCOME = {
  rows: [
    { name: 'unary', opsPerSecond: 900.4, p50Ms: 1.23456, p99Ms: 20 },
    { name: 'empty-server', opsPerSecond: 12_000, p50Ms: 0.5 },
  ],
  ratios: { 'unary/empty-server': 0.07503 },
};

test('a table has the figures that any row has, in columns', () => {
  expect(outcomeTable(OUTCOME).split('\n')).toEqual([
    '              ops/s  p50 ms  p99 ms',
    'unary           900   1.235  20.000',
    'empty-server  12000   0.500',
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
