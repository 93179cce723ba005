import type { Bar, Chart } from './chart.ts';
import { figureText, figureTitle, ratioTexts } from './figures.ts';
import { type Machine, machineSummary } from './machine.ts';
import type { Figure, Outcome, Row, Scenario } from './scenario.ts';

/** What a scenario's chart shows of its outcome. */
export function scenarioChart(
  { name, summary, chart = ['opsPerSecond'] }: Pick<Scenario, 'name' | 'summary' | 'chart'>,
  machine: Machine,
  { rows, ratios }: Outcome,
): Chart {
  const compared = Object.keys(ratios).map((ratio) => ratio.split('/')[0]);
  const isAccented = (row: Row) => compared.length === 0 || compared.includes(row.name);
  const bars = (figure: Figure) => rows.flatMap((row) => barOf(row, figure, isAccented(row)));
  return {
    title: name,
    subtitle: summary,
    panels: chart
      .map((figure) => ({ unit: figureTitle(figure), bars: bars(figure) }))
      .filter((panel) => panel.bars.length > 0),
    notes: [
      ...ratioTexts(ratios).map(([ratio, value]) => `${ratio} = ${value}`),
      ...machineSummary(machine),
    ],
  };
}

function barOf(row: Row, figure: Figure, isAccented: boolean): Bar[] {
  const value = row[figure];
  if (value === undefined) return [];
  const { minOpsPerSecond: least, maxOpsPerSecond: greatest } = row;
  const hasRange = figure === 'opsPerSecond' && least !== undefined && greatest !== undefined;
  return [
    {
      label: row.name,
      value,
      text: figureText(row, figure),
      range: hasRange ? [least, greatest] : undefined,
      isAccented,
    },
  ];
}
