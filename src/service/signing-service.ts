import { ALGORITHMS, type Algorithm } from '../domain/algorithm.ts';
import { type ErrorReason, SigildError } from '../domain/errors.ts';
import { type Key, type KeyVersion, signingVersion, verifyingVersions } from '../domain/key.ts';
import { type AccessPolicy, keyNotFound, type Operation } from './access-policy.ts';
import { assertEnabled } from './algorithm-policy.ts';
import type { RequestContext } from './caller.ts';
import type { KeyCatalog } from './key-catalog.ts';
import type { Token } from './ports.ts';
import { isReserved } from './reserved-text.ts';

export interface SigningServiceOptions {
  readonly token: Pick<Token, 'sign' | 'verify'>;
  readonly catalog: KeyCatalog;
  readonly policy: AccessPolicy;
  /** Algorithms that may sign; any may verify what was signed before. */
  readonly enabledAlgorithms: ReadonlySet<Algorithm>;
  readonly maxDataBytes: number;
}

export interface SignItem {
  readonly key: string;
  /** undefined: the primary version. */
  readonly version: number | undefined;
  readonly data: Uint8Array;
}

export interface VerifyItem {
  readonly key: string;
  /** undefined: every version that may verify. */
  readonly version: number | undefined;
  readonly data: Uint8Array;
  readonly signature: Uint8Array;
}

export interface Signature {
  readonly signature: Uint8Array;
  /** The version that signed. */
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
  async sign(context: RequestContext, item: SignItem): Promise<Signature> {
    this.#admit(context, 'sign', item);
    return this.#withKey(item.key, context.signal, async (key) => {
      const version = signingVersion(key, item.version);
      assertEnabled(version.algorithm, this.#enabledAlgorithms);
      const signature = await this.#token.sign(version, item.data, context.signal);
      return { signature, version };
    });
  }

  /**
   * @returns the version whose signature it is; undefined when it is no version's
   * @throws {SigildError} as {@link sign}, but for ALGORITHM_DISABLED
   */
  async verify(context: RequestContext, item: VerifyItem): Promise<KeyVersion | undefined> {
    this.#admit(context, 'verify', item);
    return this.#withKey(item.key, context.signal, async (key) => {
      const candidates = verifyingVersions(key, item.version).filter(
        (version) => ALGORITHMS[version.algorithm].macBytes === item.signature.byteLength,
      );
      if (candidates.length === 0) return undefined;
      return this.#token.verify(candidates, item.data, item.signature, context.signal);
    });
  }

  #admit(
    context: RequestContext,
    operation: Operation & ('sign' | 'verify'),
    item: SignItem,
  ): void {
    this.#policy.authorize(context.client, operation, item.key);
    if (item.data.byteLength > this.#maxDataBytes) {
      throw new SigildError(
        'DATA_TOO_LARGE',
        `data has ${item.data.byteLength} bytes; at most ${this.#maxDataBytes} are allowed ` +
          '(maxDataBytes in the configuration)',
      );
    }
    if (isReserved(item.data)) {
      throw new SigildError('DATA_RESERVED', 'this text is reserved for key fingerprints');
    }
  }

  /** Runs an operation on what is known of a key, and once more on what the token says now. */
  async #withKey<Result>(
    name: string,
    signal: AbortSignal,
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
    return operate(key);
  }
}

function staleAfterMs(error: unknown): number | undefined {
  return error instanceof SigildError ? STALE_AFTER_MS[error.reason] : undefined;
}
