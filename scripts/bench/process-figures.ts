import { readFileSync } from 'node:fs';

/** Linux counts processor time in these for every architecture. */
const TICKS_PER_SECOND = 100;

const KIB_PER_MIB = 1_024;

/** The processor time that processes have used so far, all their threads together. */
export function cpuSeconds(pids: readonly number[]): number {
  return (
    pids.reduce((sum, pid) => sum + cpuTicks(readFileSync(`/proc/${pid}/stat`, 'utf8')), 0) /
    TICKS_PER_SECOND
  );
}

export function memoryOf(pid: number): { residentMiB: number; proportionalMiB: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return { residentMiB: mib(rollup, 'Rss'), proportionalMiB: mib(rollup, 'Pss') };
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
