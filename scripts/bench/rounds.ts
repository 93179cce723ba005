import type { Context, Row } from './scenario.ts';
import { median, medianRatio } from './statistics.ts';

/** What one measurement of one subject found. */
export type Sample = Readonly<Record<'opsPerSecond' | 'p50Ms' | 'p99Ms', number>> &
  Partial<Readonly<Record<'p999Ms' | 'serverCpuUs' | 'hostsCpuUs', number>>>;

type Field = keyof Sample;

/**
 * Measures subjects in turns, A B A B and so on, so that whatever else the machine does hits all of
 * them alike.
 *
 * @returns each subject's samples, in the order of the rounds
 */
export async function inTurns<Subject extends { readonly name: string }>(
  subjects: readonly Subject[],
  context: Pick<Context, 'rounds' | 'signal' | 'progress'>,
  measure: (subject: Subject) => Promise<Sample>,
): Promise<ReadonlyMap<Subject, readonly Sample[]>> {
  const samples = new Map<Subject, Sample[]>(subjects.map((subject) => [subject, []]));
  for (let round = 1; round <= context.rounds; round += 1) {
    for (const [subject, taken] of samples) {
      context.signal.throwIfAborted();
      context.progress(`round ${round} of ${context.rounds}: ${subject.name}`);
      taken.push(await measure(subject));
    }
  }
  return samples;
}

/** The median of each figure that the samples have. */
export function toRow(name: string, samples: readonly Sample[]): Row {
  const fields = Object.keys(samples[0] ?? {}) as Field[];
  const medians = fields.map((field) => [field, median(figures(samples, field))]);
  const speeds = figures(samples, 'opsPerSecond');
  return {
    name,
    ...(Object.fromEntries(medians) as Sample),
    minOpsPerSecond: Math.min(...speeds),
    maxOpsPerSecond: Math.max(...speeds),
  };
}

/** How many times faster than the reference a subject was. */
export function speedRatio(samples: readonly Sample[], reference: readonly Sample[]): number {
  return medianRatio(figures(samples, 'opsPerSecond'), figures(reference, 'opsPerSecond'));
}

function figures(samples: readonly Sample[], field: Field): number[] {
  return samples.map((sample) => sample[field]).filter((figure) => figure !== undefined);
}
