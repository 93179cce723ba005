import type { Sample } from './rounds.ts';
import { percentile } from './statistics.ts';

/** Whatever signs, through whichever client. */
export interface Signer {
  readonly sign: () => Promise<{ readonly signature?: Uint8Array | undefined }>;
  /** What it answers each time. */
  readonly mac: Uint8Array;
}

interface Calls {
  readonly callers: number;
  readonly seconds: number;
  /** Aborts when the measurement is to end early. */
  readonly signal: AbortSignal;
}

const MS_PER_SECOND = 1_000;

/**
 * Has callers in this process sign for some seconds, each of them again as soon as it has an answer,
 * and proves every answer.
 *
 * @returns how many answers there were, and how fast they came
 * @throws {Error} when a MAC is wrong; what `sign` throws; the signal's reason when it aborts
 */
export async function signForSeconds(
  { sign, mac }: Signer,
  { callers, seconds, signal }: Calls,
): Promise<{ readonly answers: number; readonly sample: Sample }> {
  const expected = Buffer.from(mac);
  const durationsMs: number[] = [];
  const startedAtMs = performance.now();
  const endAtMs = startedAtMs + seconds * MS_PER_SECOND;
  const call = async () => {
    for (let nowMs = startedAtMs; nowMs < endAtMs && !signal.aborted; ) {
      const { signature } = await sign();
      const answeredAtMs = performance.now();
      if (!signature || !expected.equals(signature)) throw new Error('a MAC is wrong');
      durationsMs.push(answeredAtMs - nowMs);
      nowMs = answeredAtMs;
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
  const takenMs = performance.now() - startedAtMs;
  signal.throwIfAborted();
  return {
    answers: durationsMs.length,
    sample: {
      opsPerSecond: (durationsMs.length * MS_PER_SECOND) / takenMs,
      ...percentiles(Float64Array.from(durationsMs).sort()),
    },
  };
}

function percentiles(sortedMs: Float64Array): Pick<Sample, 'p50Ms' | 'p99Ms' | 'p999Ms'> {
  return {
    p50Ms: percentile(sortedMs, 0.5),
    p99Ms: percentile(sortedMs, 0.99),
    p999Ms: percentile(sortedMs, 0.999),
  };
}
