import { setTimeout as pause } from 'node:timers/promises';
import { createFilledToken } from './filled-token.ts';
import { DATA, KeyLoad } from './key-load.ts';
import { memoryOf } from './process-figures.ts';
import type { Sample } from './rounds.ts';
import type { Context, Outcome, Row, Scenario } from './scenario.ts';
import { startSigild } from './servers.ts';
import { median } from './statistics.ts';

const CALLS = 5_000_000;

/** The calls are made in so many parts; of those with a name the outcome tells. */
const PARTS = ['first million', undefined, 'middle million', undefined, 'last million'] as const;

/** Memory rises and falls with the garbage in it: what counts are the last few seconds of a part. */
const READ_EVERY_MS = 500;
const READINGS = 10;

const KEYS = 10;
const CALLERS = 512;

export const soak: Scenario = {
  name: 'soak',
  summary: 'memory after one, three and five million signs, whatever --seconds and --rounds say',
  run,
};

/** A process, and its memory. */
type Memory = Required<Pick<Row, 'name' | 'residentMiB' | 'proportionalMiB'>>;

interface Soaked {
  /** Makes so many calls. */
  readonly sign: (calls: number) => Promise<Sample>;
  /** The memory of each process now, always in one order. */
  readonly memory: () => readonly Memory[];
}

async function run(context: Context): Promise<Outcome> {
  const { softHsm, keys } = await createFilledToken(KEYS, DATA, context);
  const server = await startSigild('front', context.resources, softHsm);
  const load = new KeyLoad(server, { callers: CALLERS, keys }, context);
  const soaked = {
    sign: (calls: number) => load.sign(calls),
    memory: () => [server, ...server.hosts].map(({ name, pid }) => ({ name, ...memoryOf(pid) })),
  };
  return measureSoak(soaked, CALLS, context);
}

/**
 * @param calls how many to make in all
 * @returns how many times the resident memory that each process had after the first part it has after
 *   the last one, and the worst of it as `soak-memory`
 */
export async function measureSoak(
  soaked: Soaked,
  calls: number,
  { progress }: Pick<Context, 'progress'>,
): Promise<Outcome> {
  const rows: Row[] = [];
  const memories: (readonly Memory[])[] = [];
  for (const part of PARTS) {
    progress(`${calls / PARTS.length} signs, part ${memories.length + 1} of ${PARTS.length}`);
    const { sample, memory } = await measurePart(soaked, calls / PARTS.length);
    memories.push(memory);
    if (part === undefined) continue;
    for (const each of memory) rows.push({ ...sample, ...each, name: `${each.name}, ${part}` });
  }
  return { rows, ratios: growth(memories.at(0) ?? [], memories.at(-1) ?? []) };
}

/** @returns also the memory at the part's end, which is the median of the last readings */
async function measurePart(
  { sign, memory }: Soaked,
  calls: number,
): Promise<{ readonly sample: Sample; readonly memory: readonly Memory[] }> {
  const end = new AbortController();
  const [sample, readings] = await Promise.all([
    sign(calls).finally(() => end.abort()),
    readUntil(end.signal, memory),
  ]);
  return { sample, memory: medians(readings.slice(-READINGS)) };
}

async function readUntil(
  end: AbortSignal,
  memory: Soaked['memory'],
): Promise<(readonly Memory[])[]> {
  const readings = [memory()];
  while (!end.aborted) {
    await pause(READ_EVERY_MS, undefined, { signal: end }).catch(() => undefined);
    readings.push(memory());
  }
  return readings;
}

function medians(readings: readonly (readonly Memory[])[]): Memory[] {
  const [processes = []] = readings;
  return processes.map(({ name }, index) => {
    const figures = (field: 'residentMiB' | 'proportionalMiB') =>
      readings.flatMap((reading) => reading[index]?.[field] ?? []);
    return {
      name,
      residentMiB: median(figures('residentMiB')),
      proportionalMiB: median(figures('proportionalMiB')),
    };
  });
}

function growth(first: readonly Memory[], last: readonly Memory[]): Outcome['ratios'] {
  const ratios = last.map(({ name, residentMiB }, index): [string, number] => [
    `soak-memory-${name.replaceAll(' ', '-')}`,
    residentMiB / (first[index]?.residentMiB ?? Number.NaN),
  ]);
  const worst = Math.max(...ratios.map(([, ratio]) => ratio));
  return { 'soak-memory': worst, ...Object.fromEntries(ratios) };
}
