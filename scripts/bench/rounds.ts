import type { Context, Outcome, Row } from './scenario.ts';
import { median, medianRatio } from './statistics.ts';

/** What one measurement of one subject found. */
export interface Sample {
  readonly opsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms?: number;
  readonly serverCpuUs?: number;
  readonly hostsCpuUs?: number;
}

interface Named {
  readonly name: string;
}

/**
 * Measures subjects in turns, A B A B and so on, so that whatever else the machine does hits all of
 * them alike, and compares the first with each of the others.
 */
export async function compareInTurns<Subject extends Named>(
  subjects: readonly Subject[],
  context: Pick<Context, 'rounds' | 'signal' | 'progress'>,
  measure: (subject: Subject) => Promise<Sample>,
): Promise<Outcome> {
  const samples = new Map<Subject, Sample[]>(subjects.map((subject) => [subject, []]));
  for (let round = 1; round <= context.rounds; round += 1) {
    for (const [subject, taken] of samples) {
      context.signal.throwIfAborted();
      context.progress(`round ${round} of ${context.rounds}: ${subject.name}`);
      taken.push(await measure(subject));
    }
  }
  return compare(samples);
}

function compare(samples: ReadonlyMap<Named, readonly Sample[]>): Outcome {
  const subjects = [...samples].map(([{ name }, taken]) => ({ name, taken }));
  const [first, ...references] = subjects;
  const speeds = (taken: readonly Sample[] = []) => figures(taken, 'opsPerSecond');
  return {
    rows: subjects.map(({ name, taken }) => toRow(name, taken)),
    ratios: Object.fromEntries(
      references.map(({ name, taken }) => [
        `${first?.name}/${name}`,
        medianRatio(speeds(first?.taken), speeds(taken)),
      ]),
    ),
  };
}

function toRow(name: string, samples: readonly Sample[]): Row {
  const fields = Object.keys(samples[0] ?? {}) as (keyof Sample)[];
  const medians = fields.map((field) => [field, median(figures(samples, field))]);
  const speeds = figures(samples, 'opsPerSecond');
  return {
    name,
    ...Object.fromEntries(medians),
    minOpsPerSecond: Math.min(...speeds),
    maxOpsPerSecond: Math.max(...speeds),
  };
}

function figures(samples: readonly Sample[], field: keyof Sample): number[] {
  return samples.map((sample) => sample[field]).filter((figure) => figure !== undefined);
}
