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

/** What callers have done. */
interface Signed {
  readonly answers: number;
  readonly sample: Sample;
}

const MS_PER_SECOND = 1_000;

/** As {@link signWhile}, for some seconds and with one signer for all callers. */
export function signForSeconds(
  signer: Signer,
  { callers, seconds, signal }: Calls,
): Promise<Signed> {
  const endAtMs = performance.now() + seconds * MS_PER_SECOND;
  const next = () => signer;
  return signWhile(() => performance.now() < endAtMs, Array(callers).fill(next), signal);
}

/**
 * Has callers in this process sign, each of them again as soon as it has an answer, and proves every
 * answer.
 *
 * @param goesOn asked before each call
 * @param callers for each of them what tells whom to ask next
 * @returns how many answers there were, and how fast they came
 * @throws {Error} when a MAC is wrong; what `sign` throws; the signal's reason when it aborts
 */
export async function signWhile(
  goesOn: () => boolean,
  callers: readonly (() => Signer)[],
  signal: AbortSignal,
): Promise<Signed> {
  const durationsMs: number[] = [];
  let hasFailed = false;
  const call = async (next: () => Signer) => {
    while (!(hasFailed || signal.aborted) && goesOn()) durationsMs.push(await signOnce(next()));
  };
  const startedAtMs = performance.now();
  try {
    await Promise.all(callers.map(call));
  } catch (error) {
    hasFailed = true;
    throw error;
  }
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

/** @returns how long the call took, in milliseconds */
async function signOnce({ sign, mac }: Signer): Promise<number> {
  const startedAtMs = performance.now();
  const { signature } = await sign();
  const takenMs = performance.now() - startedAtMs;
  if (!signature || Buffer.compare(mac, signature) !== 0) throw new Error('a MAC is wrong');
  return takenMs;
}

function percentiles(sortedMs: Float64Array): Pick<Sample, 'p50Ms' | 'p99Ms' | 'p999Ms'> {
  return {
    p50Ms: percentile(sortedMs, 0.5),
    p99Ms: percentile(sortedMs, 0.99),
    p999Ms: percentile(sortedMs, 0.999),
  };
}
