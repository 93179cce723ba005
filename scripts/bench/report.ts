import type { Machine } from './machine.ts';
import type { Outcome, Row } from './scenario.ts';

type Figure = Exclude<keyof Row, 'name'>;

/** How each figure is shown, and with how many decimals. */
const COLUMNS = {
  opsPerSecond: ['ops/s', 0],
  minOpsPerSecond: ['slowest', 0],
  maxOpsPerSecond: ['fastest', 0],
  p50Ms: ['p50 ms', 3],
  p99Ms: ['p99 ms', 3],
  p999Ms: ['p99.9 ms', 3],
  serverCpuUs: ['server cpu us/op', 1],
  hostsCpuUs: ['hosts cpu us/op', 1],
  tokenMs: ['token ms', 3],
  eventLoopDelayP99Ms: ['event loop p99 ms', 3],
  healthP99Ms: ['health p99 ms', 3],
  startMs: ['start ms', 0],
  residentMiB: ['resident MiB', 1],
  proportionalMiB: ['proportional MiB', 1],
  serverMiB: ['server MiB', 1],
  hostsMiB: ['hosts MiB', 1],
} as const satisfies Record<Figure, readonly [title: string, decimals: number]>;

const RATIO_DECIMALS = 3;

const FIGURES = Object.keys(COLUMNS) as Figure[];

export function machineLines(machine: Machine): string {
  return Object.entries(machine)
    .map(([what, value]) => `${`${what}:`.padEnd(13)}${value}`)
    .join('\n');
}

/** A table of the figures that any row has, then the ratios. */
export function outcomeTable({ rows, ratios }: Outcome): string {
  const figures = FIGURES.filter((figure) => rows.some((row) => row[figure] !== undefined));
  const lines = [
    ['', ...figures.map((figure) => COLUMNS[figure][0])],
    ...rows.map((row) => [row.name, ...figures.map((figure) => cell(row, figure))]),
  ];
  const widths = ['', ...figures].map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  );
  return [
    ...lines.map((line) => tableLine(line, widths)),
    ...Object.entries(ratios).map(([name, ratio]) => `${name} = ${ratio.toFixed(RATIO_DECIMALS)}`),
  ].join('\n');
}

/** One line of JSON, for programs. */
export function outcomeJson(scenario: string, machine: Machine, { rows, ratios }: Outcome): string {
  return JSON.stringify({
    scenario,
    machine,
    rows: rows.map(roundedRow),
    ratios: Object.fromEntries(
      Object.entries(ratios).map(([name, ratio]) => [name, rounded(ratio, RATIO_DECIMALS)]),
    ),
  });
}

function tableLine([name = '', ...cells]: readonly string[], widths: readonly number[]): string {
  const padded = cells.map((text, column) => text.padStart(widths[column + 1] ?? 0));
  return [name.padEnd(widths[0] ?? 0), ...padded].join('  ').trimEnd();
}

function cell(row: Row, figure: Figure): string {
  return row[figure]?.toFixed(COLUMNS[figure][1]) ?? '';
}

function roundedRow(row: Row): Row {
  const present = FIGURES.flatMap((figure): [Figure, number][] => {
    const value = row[figure];
    return value === undefined ? [] : [[figure, rounded(value, COLUMNS[figure][1])]];
  });
  return { name: row.name, ...Object.fromEntries(present) };
}

function rounded(value: number, decimals: number): number {
  return Number(value.toFixed(decimals));
}
