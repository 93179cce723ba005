import { readFileSync } from 'node:fs';

/** Linux counts processor time in hundredths of a second on every architecture. */
const US_PER_TICK = 10_000;

const KIB_PER_MIB = 1_024;

/**
 * Begins to measure the processor time of groups of processes, all their threads together.
 *
 * @returns tells how much each group has used since, in us for each of so many operations
 */
export function meterCpu<Group extends string>(
  groups: Readonly<Record<Group, readonly number[]>>,
): (operations: number) => Record<Group, number> {
  const names = Object.keys(groups) as Group[];
  const before = names.map((name) => cpuUs(groups[name]));
  return (operations) => {
    const used = names.map((name, index) => cpuUs(groups[name]) - (before[index] ?? 0));
    const perOperation = names.map((name, index) => [name, (used[index] ?? 0) / operations]);
    return Object.fromEntries(perOperation);
  };
}

export function memoryOf(pid: number): { residentMiB: number; proportionalMiB: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return { residentMiB: mib(rollup, 'Rss'), proportionalMiB: mib(rollup, 'Pss') };
}

function cpuUs(pids: readonly number[]): number {
  const ticks = pids.map((pid) => cpuTicks(readFileSync(`/proc/${pid}/stat`, 'utf8')));
  return ticks.reduce((sum, used) => sum + used, 0) * US_PER_TICK;
}

/** @param stat as proc(5) describes /proc/PID/stat: utime and stime are its fields 14 and 15 */
function cpuTicks(stat: string): number {
  // Field 2 is the program's name in parentheses, which may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

function mib(rollup: string, field: string): number {
  const kib = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(rollup)?.[1];
  if (kib === undefined) throw new Error(`smaps_rollup has no ${field}`);
  return Number(kib) / KIB_PER_MIB;
}
