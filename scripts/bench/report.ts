import {
  FIGURES,
  figureText,
  figureTitle,
  ratioTexts,
  roundedRatios,
  roundedRow,
} from './figures.ts';
import type { Machine } from './machine.ts';
import type { Outcome } from './scenario.ts';

export function machineLines(machine: Machine): string {
  return Object.entries(machine)
    .map(([what, value]) => `${`${what}:`.padEnd(13)}${value}`)
    .join('\n');
}

/** The figures that any row has, in a line for each row under a line of titles. */
export function outcomeCells({ rows }: Pick<Outcome, 'rows'>): [string, ...string[]][] {
  const figures = FIGURES.filter((figure) => rows.some((row) => row[figure] !== undefined));
  return [
    ['', ...figures.map(figureTitle)],
    ...rows.map((row): [string, ...string[]] => [
      row.name,
      ...figures.map((figure) => figureText(row, figure)),
    ]),
  ];
}

/** A table of the figures, then the ratios. */
export function outcomeTable(outcome: Outcome): string {
  const lines = outcomeCells(outcome);
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  );
  return [
    ...lines.map((line) => tableLine(line, widths)),
    ...ratioTexts(outcome.ratios).map(([name, ratio]) => `${name} = ${ratio}`),
  ].join('\n');
}

/** One line of JSON, for programs. */
export function outcomeJson(scenario: string, machine: Machine, { rows, ratios }: Outcome): string {
  return JSON.stringify({
    scenario,
    machine,
    rows: rows.map(roundedRow),
    ratios: roundedRatios(ratios),
  });
}

function tableLine([name, ...cells]: [string, ...string[]], widths: readonly number[]): string {
  const padded = cells.map((text, column) => text.padStart(widths[column + 1] ?? 0));
  return [name.padEnd(widths[0] ?? 0), ...padded].join('  ').trimEnd();
}
