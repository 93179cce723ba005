import { randomBytes } from 'node:crypto';
import { connect, type SigningKey } from '../../src/client/client.ts';
import { type Signer, signWhile } from './callers.ts';
import type { KnownKey } from './filled-token.ts';
import type { Sample } from './rounds.ts';
import type { Context } from './scenario.ts';
import type { MeasuredServer } from './servers.ts';

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

/** Callers of the TypeScript client, each of which asks again as soon as it is answered. */
export class KeyLoad {
  readonly #signal: AbortSignal;
  /** For each caller what tells whom to ask next. */
  readonly #callers: readonly (() => Signer)[];

  constructor(
    server: MeasuredServer,
    { callers, clients = 1, keys }: Callers,
    { resources, signal }: Pick<Context, 'resources' | 'signal'>,
  ) {
    this.#signal = signal;
    const ofClients = Array.from({ length: clients }, () => {
      const client = connect({ address: server.unix, deadlineMs: DEADLINE_MS });
      resources.add(() => client.close());
      return keys.map(({ name, mac }) => signerOf(client.key(name), mac));
    });
    this.#callers = Array.from({ length: callers }, (_, caller) =>
      anyOf(ofClients[caller % clients] ?? []),
    );
  }

  /** @throws {Error} as {@link signWhile} */
  async signFor(seconds: number): Promise<Sample> {
    const endAtMs = performance.now() + seconds * MS_PER_SECOND;
    return this.#signWhile(() => performance.now() < endAtMs);
  }

  /** Makes so many calls in all. @throws {Error} as {@link signWhile} */
  async sign(calls: number): Promise<Sample> {
    let left = calls;
    return this.#signWhile(() => left-- > 0);
  }

  async #signWhile(goesOn: () => boolean): Promise<Sample> {
    const { sample } = await signWhile(goesOn, this.#callers, this.#signal);
    return sample;
  }
}

function signerOf(key: SigningKey, mac: Uint8Array): Signer {
  return { sign: () => key.sign(DATA), mac };
}

function anyOf(signers: readonly Signer[]): () => Signer {
  return () => signers[Math.floor(Math.random() * signers.length)] as Signer;
}
