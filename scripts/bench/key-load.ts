import { randomBytes } from 'node:crypto';
import { connect, type SigningKey } from '../../src/client/client.ts';
import type { KnownKey } from './filled-token.ts';
import type { Sample } from './rounds.ts';
import type { Context } from './scenario.ts';
import type { MeasuredServer } from './servers.ts';
import { percentile } from './statistics.ts';

/** What every call signs. */
export const DATA = randomBytes(256);

/** What is slow makes a bad figure, and no failure. */
export const DEADLINE_MS = 120_000;

const MS_PER_SECOND = 1_000;

interface Callers {
  readonly callers: number;
  /** Among how many clients they are divided, each with a connection of its own; 1 when absent. */
  readonly clients?: number;
  /** Each call is for one of them at random. */
  readonly keys: readonly KnownKey[];
}

/** A key as a client has it, and what it has to make of the data. */
export interface Signer {
  readonly key: Pick<SigningKey, 'name' | 'sign'>;
  readonly mac: Buffer;
}

/** Callers of the TypeScript client, each of which asks again as soon as it is answered. */
export class KeyLoad {
  readonly #signal: AbortSignal;
  /** For each caller. */
  readonly #signers: readonly (readonly Signer[])[];

  constructor(
    server: MeasuredServer,
    { callers, clients = 1, keys }: Callers,
    { resources, signal }: Pick<Context, 'resources' | 'signal'>,
  ) {
    this.#signal = signal;
    const ofClients = Array.from({ length: clients }, () => {
      const client = connect({ address: server.unix, deadlineMs: DEADLINE_MS });
      resources.add(() => client.close());
      return keys.map(({ name, mac }) => ({ key: client.key(name), mac }));
    });
    const ofCaller = (caller: number) => ofClients[caller % clients] ?? [];
    this.#signers = Array.from({ length: callers }, (_, caller) => ofCaller(caller));
  }

  /** @throws {Error} as {@link signWhile} */
  signFor(seconds: number): Promise<Sample> {
    const endAtMs = performance.now() + seconds * MS_PER_SECOND;
    return signWhile(() => performance.now() < endAtMs, this.#signers, this.#signal);
  }

  /** Makes so many calls in all. @throws {Error} as {@link signWhile} */
  sign(calls: number): Promise<Sample> {
    let left = calls;
    return signWhile(() => left-- > 0, this.#signers, this.#signal);
  }
}

/**
 * Has callers make one call after another, and compares every MAC with the known one.
 *
 * @param goesOn asked before each call
 * @param signers for each caller the keys of which it takes one at random
 * @throws {Error} when a MAC is wrong or a call fails; the signal's reason when it aborts
 */
export async function signWhile(
  goesOn: () => boolean,
  signers: readonly (readonly Signer[])[],
  signal: AbortSignal,
): Promise<Sample> {
  const durationsMs: number[] = [];
  let hasFailed = false;
  const call = async (keys: readonly Signer[]) => {
    while (!(hasFailed || signal.aborted) && goesOn()) durationsMs.push(await signOnce(keys));
  };
  const startedAtMs = performance.now();
  try {
    await Promise.all(signers.map(call));
  } catch (error) {
    hasFailed = true;
    throw error;
  }
  const takenMs = performance.now() - startedAtMs;
  signal.throwIfAborted();
  const sortedMs = Float64Array.from(durationsMs).sort();
  return {
    opsPerSecond: (sortedMs.length * MS_PER_SECOND) / takenMs,
    p50Ms: percentile(sortedMs, 0.5),
    p99Ms: percentile(sortedMs, 0.99),
  };
}

/** @returns how long the call took, in milliseconds */
async function signOnce(signers: readonly Signer[]): Promise<number> {
  const { key, mac } = signers[Math.floor(Math.random() * signers.length)] as Signer;
  const startedAtMs = performance.now();
  const { signature } = await key.sign(DATA);
  const takenMs = performance.now() - startedAtMs;
  if (!mac.equals(signature)) throw new Error(`a wrong MAC of ${key.name}`);
  return takenMs;
}
