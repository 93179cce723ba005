import type { Context, Outcome, Row } from './scenario.ts';
import { median, medianRatio } from './statistics.ts';

/** What one measurement of one subject found. */
export interface Sample {
  readonly opsPerSecond: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly p999Ms?: number;
  readonly clientCpuUs?: number;
  readonly serverCpuUs?: number;
  readonly hostsCpuUs?: number;
}

interface Named {
  readonly name: string;
  /** What it is one of several ways to do, such as with 4 threads; itself when absent. */
  readonly wayOf?: string;
}

interface Measured {
  readonly subject: Named;
  readonly samples: readonly Sample[];
}

/**
 * Measures subjects in turns, A B A B and so on, so that whatever else the machine does hits all of
 * them alike, and compares the first with each of the others: of several ways to do one thing, with
 * the fastest.
 */
export async function compareInTurns<Subject extends Named>(
  subjects: readonly Subject[],
  context: Pick<Context, 'rounds' | 'signal' | 'progress'>,
  measure: (subject: Subject) => Promise<Sample>,
): Promise<Outcome> {
  const measured = subjects.map((subject) => ({ subject, samples: [] as Sample[] }));
  for (let round = 1; round <= context.rounds; round += 1) {
    for (const { subject, samples } of measured) {
      context.signal.throwIfAborted();
      context.progress(`round ${round} of ${context.rounds}: ${subject.name}`);
      samples.push(await measure(subject));
    }
  }
  return { rows: measured.map(toRow), ratios: ratiosOf(measured) };
}

function ratiosOf([first, ...others]: readonly Measured[]): Outcome['ratios'] {
  if (!first) return {};
  const references = new Set(others.map(reference));
  return Object.fromEntries(
    [...references].map((name) => {
      const fastest = fastestOf(others.filter((other) => reference(other) === name));
      return [`${first.subject.name}/${name}`, medianRatio(speeds(first), speeds(fastest))];
    }),
  );
}

function reference({ subject }: Measured): string {
  return subject.wayOf ?? subject.name;
}

function fastestOf(ways: readonly Measured[]): Measured {
  const medians = ways.map((way) => ({ way, speed: median(speeds(way)) }));
  return medians.reduce((best, next) => (next.speed > best.speed ? next : best)).way;
}

function toRow({ subject, samples }: Measured): Row {
  const fields = Object.keys(samples[0] ?? {}) as (keyof Sample)[];
  const medians = fields.map((field) => [field, median(figures(samples, field))]);
  const rounds = figures(samples, 'opsPerSecond');
  return {
    name: subject.name,
    ...Object.fromEntries(medians),
    minOpsPerSecond: Math.min(...rounds),
    maxOpsPerSecond: Math.max(...rounds),
  };
}

function speeds({ samples }: Measured): number[] {
  return figures(samples, 'opsPerSecond');
}

function figures(samples: readonly Sample[], field: keyof Sample): number[] {
  return samples.map((sample) => sample[field]).filter((figure) => figure !== undefined);
}
