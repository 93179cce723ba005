import { ALGORITHMS, type Algorithm } from '../domain/algorithm.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import { type ErrorReason, SigildError } from '../domain/errors.ts';
import { type Key, type KeyVersion, signingVersion, verifyingVersions } from '../domain/key.ts';
import { type AccessPolicy, keyNotFound } from './access-policy.ts';
import { assertEnabled } from './algorithm-policy.ts';
import type { RequestContext } from './caller.ts';
import type { KeyCatalog } from './key-catalog.ts';
import type { SignedData, Token } from './ports.ts';
import { isReserved } from './reserved-text.ts';

export interface SigningServiceOptions {
  readonly token: Pick<Token, 'sign' | 'verify'>;
  readonly catalog: KeyCatalog;
  readonly policy: AccessPolicy;
  /** Algorithms that may sign; any may verify what was signed before. */
  readonly enabledAlgorithms: ReadonlySet<Algorithm>;
  readonly maxDataBytes: number;
}

/** Messages to sign with one key. */
export interface SignBatch {
  readonly key: string;
  /** undefined: the primary version. */
  readonly version: number | undefined;
  /** At least one. */
  readonly batch: readonly Uint8Array[];
}

/** Messages and their signatures, to be checked with one key. */
export interface VerifyBatch {
  readonly key: string;
  /** undefined: every version that may verify. */
  readonly version: number | undefined;
  /** At least one. */
  readonly batch: readonly SignedData[];
}

export interface Signatures {
  /** One for each message, in order. */
  readonly signatures: readonly Uint8Array[];
  /** The version that signed all of them. */
  readonly version: KeyVersion;
}

/** How old an entry may be before an operation that its state forbids looks at the token again. */
const STATE_MAX_AGE_MS = 1_000;

/** Reasons that a change behind the daemon's back explains, and the age from which to look again. */
const STALE_AFTER_MS: Partial<Record<ErrorReason, number>> = {
  KEY_NOT_FOUND: 0,
  KEY_VERSION_NOT_FOUND: 0,
  KEY_STATE_FORBIDS: STATE_MAX_AGE_MS,
  KEY_AMBIGUOUS: 0,
};

/** Sign and Verify: who may, with which version, on what data. */
export class SigningService {
  readonly #token: SigningServiceOptions['token'];
  readonly #catalog: KeyCatalog;
  readonly #policy: AccessPolicy;
  readonly #enabledAlgorithms: ReadonlySet<Algorithm>;
  readonly #maxDataBytes: number;

  constructor(options: SigningServiceOptions) {
    this.#token = options.token;
    this.#catalog = options.catalog;
    this.#policy = options.policy;
    this.#enabledAlgorithms = options.enabledAlgorithms;
    this.#maxDataBytes = options.maxDataBytes;
  }

  /**
   * @throws {SigildError} PERMISSION_DENIED, KEY_NOT_FOUND, KEY_VERSION_NOT_FOUND,
   *   KEY_STATE_FORBIDS, KEY_AMBIGUOUS, DATA_TOO_LARGE, DATA_RESERVED, ALGORITHM_DISABLED, and as
   *   {@link Token.sign}
   */
  async sign(
    context: RequestContext,
    { key: name, version, batch }: SignBatch,
  ): Promise<Signatures> {
    this.#policy.authorize(context.client, 'sign', name);
    for (const data of batch) this.#assertAllowed(data);
    return await this.#withKey(name, context.signal, async (key) => {
      const signer = signingVersion(key, version);
      assertEnabled(signer.algorithm, this.#enabledAlgorithms);
      const signatures = await this.#token.sign(signer, batch, context.signal);
      return { signatures, version: signer };
    });
  }

  /**
   * @returns for each message, in order, the version whose signature it is; undefined when it is no
   *   version's
   * @throws {SigildError} as {@link sign}, but for ALGORITHM_DISABLED
   */
  async verify(
    context: RequestContext,
    { key: name, version, batch }: VerifyBatch,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    this.#policy.authorize(context.client, 'verify', name);
    for (const { data } of batch) this.#assertAllowed(data);
    return await this.#withKey(name, context.signal, (key) =>
      this.#verifyPossible(verifyingVersions(key, version), batch, context.signal),
    );
  }

  /** Asks the token about those messages only whose signature has a length that a version makes. */
  async #verifyPossible(
    versions: readonly KeyVersion[],
    batch: readonly SignedData[],
    signal: Cancellation,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    const lengths = new Set<number>(
      versions.map(({ algorithm }) => ALGORITHMS[algorithm].macBytes),
    );
    const possible = batch.filter(({ mac }) => lengths.has(mac.byteLength));
    if (possible.length === 0) return batch.map(() => undefined);
    const verified = await this.#token.verify(versions, possible, signal);
    if (possible.length === batch.length) return verified;
    const results = new Map(possible.map((signed, index) => [signed, verified[index]]));
    return batch.map((signed) => results.get(signed));
  }

  #assertAllowed(data: Uint8Array): void {
    if (data.byteLength > this.#maxDataBytes) {
      throw new SigildError(
        'DATA_TOO_LARGE',
        `data has ${data.byteLength} bytes; at most ${this.#maxDataBytes} are allowed ` +
          '(maxDataBytes in the configuration)',
      );
    }
    if (isReserved(data)) {
      throw new SigildError('DATA_RESERVED', 'this text is reserved for key fingerprints');
    }
  }

  /** Runs an operation on what is known of a key, and once more on what the token says now. */
  async #withKey<Result>(
    name: string,
    signal: Cancellation,
    operate: (key: Key) => Promise<Result>,
  ): Promise<Result> {
    const known = this.#catalog.peek(name);
    let failure: unknown;
    if (known) {
      try {
        return await operate(known);
      } catch (error) {
        if (staleAfterMs(error) === undefined) throw error;
        failure = error;
      }
    }
    const key = await this.#catalog.find(name, signal, staleAfterMs(failure));
    if (!key) throw keyNotFound(name);
    if (key === known) throw failure;
    return await operate(key);
  }
}

function staleAfterMs(error: unknown): number | undefined {
  return error instanceof SigildError ? STALE_AFTER_MS[error.reason] : undefined;
}
