import { ALGORITHMS, type Algorithm } from '../domain/algorithm.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import { SigildError } from '../domain/errors.ts';
import { type Key, type KeyVersion, signingVersion, verifyingVersions } from '../domain/key.ts';
import { type AccessPolicy, keyNotFound } from './access-policy.ts';
import { assertEnabled } from './algorithm-policy.ts';
import type { RequestContext } from './caller.ts';
import type { KeyCatalog } from './key-catalog.ts';
import { KeyUse } from './key-use.ts';
import type { SignedData, Token } from './ports.ts';
import { dataReserved, isReserved } from './reserved-text.ts';

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

/** Sign and Verify: who may, with which version, on what data. */
export class SigningService {
  readonly #token: SigningServiceOptions['token'];
  readonly #catalog: KeyCatalog;
  readonly #keys: KeyUse;
  readonly #policy: AccessPolicy;
  readonly #enabledAlgorithms: ReadonlySet<Algorithm>;
  readonly #maxDataBytes: number;

  constructor(options: SigningServiceOptions) {
    this.#token = options.token;
    this.#catalog = options.catalog;
    this.#keys = new KeyUse(options.catalog);
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
    const choose = (key: Key) => signingVersion(key, version);
    return await this.#keys.use(name, context.signal, choose, async (signer) => {
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
    const choose = (key: Key) => verifyingVersions(key, version);
    let tried: readonly KeyVersion[] = [];
    const verified = await this.#keys.use(name, context.signal, choose, (versions) => {
      tried = versions;
      return this.#verifyPossible(versions, batch, context.signal);
    });
    if (version !== undefined) return verified;
    const missed = batch.filter((signed, index) => !verified[index] && isPossible(tried, signed));
    if (missed.length === 0) return verified;
    const found = await this.#verifyWithNewer(name, tried, missed, context.signal);
    return batch.map((signed, index) => verified[index] ?? found.get(signed));
  }

  /** Another daemon may have made a version since the key was read: asks those that were not known. */
  async #verifyWithNewer(
    name: string,
    known: readonly KeyVersion[],
    missed: readonly SignedData[],
    signal: Cancellation,
  ): Promise<ReadonlyMap<SignedData, KeyVersion | undefined>> {
    const key = await this.#catalog.confirm(name, signal);
    if (!key) throw keyNotFound(name);
    const ids = new Set(known.map(({ id }) => id));
    const newer = verifyingVersions(key, undefined).filter(({ id }) => !ids.has(id));
    if (newer.length === 0) return new Map();
    const verified = await this.#verifyPossible(newer, missed, signal);
    return new Map(missed.map((signed, index) => [signed, verified[index]]));
  }

  /** Asks the token about those messages only whose signature has a length that a version makes. */
  async #verifyPossible(
    versions: readonly KeyVersion[],
    batch: readonly SignedData[],
    signal: Cancellation,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    const possible = batch.filter((signed) => isPossible(versions, signed));
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
    if (isReserved(data)) throw dataReserved();
  }
}

/** Whether a signature has a length that one of the versions makes. */
export function isPossible(
  versions: readonly KeyVersion[],
  { mac }: Pick<SignedData, 'mac'>,
): boolean {
  return versions.some(({ algorithm }) => ALGORITHMS[algorithm].macBytes === mac.byteLength);
}
