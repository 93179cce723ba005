import { expect, test } from 'vitest';
import { scenarioChart } from '../../scripts/bench/scenario-chart.ts';
import { MACHINE } from '../support/bench-machine.ts';

const SCENARIO = { name: 'unary', summary: 'many callers' };

const OUTCOME = {
  rows: [
    { name: 'unary', opsPerSecond: 9_000, minOpsPerSecond: 8_000, maxOpsPerSecond: 9_500 },
    { name: 'empty-server', opsPerSecond: 12_000, p50Ms: 0.5 },
  ],
  ratios: { 'unary/empty-server': 0.75 },
};

test('draws operations per second, with what lies between the slowest and the fastest round', () => {
  const { title, subtitle, panels } = scenarioChart(SCENARIO, MACHINE, OUTCOME);

  expect({ title, subtitle }).toEqual({ title: 'unary', subtitle: 'many callers' });
  expect(panels).toEqual([
    {
      unit: 'ops/s',
      bars: [
        {
          label: 'unary',
          value: 9_000,
          text: '9,000',
          range: [8_000, 9_500],
          isAccented: true,
        },
        {
          label: 'empty-server',
          value: 12_000,
          text: '12,000',
          range: undefined,
          isAccented: false,
        },
      ],
    },
  ]);
});

test('draws the figures that the scenario asks for and that were measured', () => {
  const scenario = { ...SCENARIO, chart: ['p50Ms', 'p99Ms'] } as const;

  const { panels } = scenarioChart(scenario, MACHINE, OUTCOME);

  expect(panels.map(({ unit, bars }) => [unit, bars.map(({ label }) => label)])).toEqual([
    ['p50 ms', ['empty-server']],
  ]);
});

test('notes the ratios, the machine and the date', () => {
  const { notes } = scenarioChart(SCENARIO, MACHINE, OUTCOME);

  expect(notes).toEqual([
    'unary/empty-server = 0.750',
    '2026-01-01, 2-core processor, load average before 0.5',
    'Linux 6.1, Node.js 20.0.0, SoftHSM 2.6.1, h2load 1.52.0',
  ]);
});

test('accents everything where nothing is compared', () => {
  const { panels } = scenarioChart(SCENARIO, MACHINE, { ...OUTCOME, ratios: {} });

  expect(panels[0]?.bars.map(({ isAccented }) => isAccented)).toEqual([true, true]);
});
