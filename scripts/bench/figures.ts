import type { Figure, Row } from './scenario.ts';

/** What each figure is called where it is shown, and with how many decimals. */
const FORMATS = {
  opsPerSecond: ['ops/s', 0],
  minOpsPerSecond: ['slowest', 0],
  maxOpsPerSecond: ['fastest', 0],
  p50Ms: ['p50 ms', 3],
  p99Ms: ['p99 ms', 3],
  p999Ms: ['p99.9 ms', 3],
  clientCpuUs: ['client cpu us/op', 1],
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

/** Every figure, in the order in which they are shown. */
export const FIGURES = Object.keys(FORMATS) as Figure[];

export function figureTitle(figure: Figure): string {
  return FORMATS[figure][0];
}

/** For people; empty when the row has no such figure. */
export function figureText(row: Row, figure: Figure): string {
  return row[figure] === undefined ? '' : decimal(row[figure], FORMATS[figure][1]);
}

/** For people, by the ratios' names. */
export function ratioTexts(ratios: Readonly<Record<string, number>>): [string, string][] {
  return Object.entries(ratios).map(([name, ratio]) => [name, decimal(ratio, RATIO_DECIMALS)]);
}

/** For programs: the row's figures, and no others, with as many decimals as people see. */
export function roundedRow(row: Row): Row {
  const present = FIGURES.flatMap((figure): [Figure, number][] => {
    const value = row[figure];
    return value === undefined ? [] : [[figure, rounded(value, FORMATS[figure][1])]];
  });
  return { name: row.name, ...Object.fromEntries(present) };
}

/** For programs. */
export function roundedRatios(ratios: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(ratios).map(([name, ratio]) => [name, rounded(ratio, RATIO_DECIMALS)]),
  );
}

function decimal(value: number, decimals: number): string {
  return value.toLocaleString('en-US', {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
}

function rounded(value: number, decimals: number): number {
  return Number(value.toFixed(decimals));
}
