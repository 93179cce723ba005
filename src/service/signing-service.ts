import type { Algorithm } from '../domain/algorithm.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import { SigildError } from '../domain/errors.ts';
import { type Key, type KeyVersion, signingVersion, verifyingVersions } from '../domain/key.ts';
import { type AccessPolicy, keyNotFound } from './access-policy.ts';
import { assertEnabled } from './algorithm-policy.ts';
import type { RequestContext } from './caller.ts';
import { withFreshKey } from './fresh-key.ts';
import type { KeyCatalog } from './key-catalog.ts';
import { PeerKeys, type PeerName } from './peer-keys.ts';
import type { Token } from './ports.ts';
import { dataReserved, isReserved } from './reserved-text.ts';
import {
  ableVersions,
  alikeVersions,
  assertForm,
  demandAble,
  isPossible,
  readable,
  type SignatureForm,
  written,
} from './signature-form.ts';
import type { SignedData } from './token-values.ts';

export interface SigningServiceOptions {
  readonly token: Pick<Token, 'sign' | 'verify' | 'signAgreed' | 'verifyAgreed' | 'publicKeys'>;
  readonly catalog: KeyCatalog;
  readonly policy: AccessPolicy;
  /** Algorithms that may sign; any may verify what was signed before. */
  readonly enabledAlgorithms: ReadonlySet<Algorithm>;
  readonly maxDataBytes: number;
}

/** What both requests have; the form's peer is found by its name. */
export interface FormedRequest extends Omit<SignatureForm, 'peer'> {
  /** For keys that agree upon others with a peer. */
  readonly peerName?: PeerName | undefined;
}

/** Messages to sign with one key. */
export interface SignBatch extends FormedRequest {
  readonly key: string;
  /** undefined: the primary version. */
  readonly version: number | undefined;
  /** At least one. */
  readonly batch: readonly Uint8Array[];
}

/** Messages and their signatures, to be checked with one key. */
export interface VerifyBatch extends FormedRequest {
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
  readonly #policy: AccessPolicy;
  readonly #enabledAlgorithms: ReadonlySet<Algorithm>;
  readonly #maxDataBytes: number;
  readonly #peers: PeerKeys;

  constructor(options: SigningServiceOptions) {
    this.#token = options.token;
    this.#catalog = options.catalog;
    this.#policy = options.policy;
    this.#enabledAlgorithms = options.enabledAlgorithms;
    this.#maxDataBytes = options.maxDataBytes;
    this.#peers = new PeerKeys(options);
  }

  /**
   * @throws {SigildError} PERMISSION_DENIED, KEY_NOT_FOUND, KEY_VERSION_NOT_FOUND,
   *   KEY_STATE_FORBIDS, KEY_AMBIGUOUS, DATA_TOO_LARGE, DATA_RESERVED, ALGORITHM_DISABLED,
   *   FIELD_INVALID for a form that the key's algorithm does not have, and as {@link PeerKeys.find} and
   *   {@link Token.sign}
   */
  async sign(context: RequestContext, request: SignBatch): Promise<Signatures> {
    const { key: name, version, batch } = request;
    this.#policy.authorize(context.client, 'sign', name);
    for (const data of batch) this.#assertAllowed(data);
    const form = request.peerName ? await this.#withPeer(context, request) : request;
    const choose = (key: Key) => signingVersion(key, version);
    return await withFreshKey(this.#catalog, name, context.signal, choose, async (signer) => {
      assertEnabled(signer.algorithm, this.#enabledAlgorithms);
      assertForm(signer.algorithm, form, batch);
      const made = await this.#signWith(signer, form, batch, context.signal);
      return { signatures: written(signer.algorithm, form, made), version: signer };
    });
  }

  /**
   * @returns for each message, in order, the version whose signature it is; undefined when it is no
   *   version's
   * @throws {SigildError} as {@link sign}, but for ALGORITHM_DISABLED
   */
  async verify(
    context: RequestContext,
    request: VerifyBatch,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    const { key: name, version, batch } = request;
    this.#policy.authorize(context.client, 'verify', name);
    for (const { data } of batch) this.#assertAllowed(data);
    const form = request.peerName ? await this.#withPeer(context, request) : request;
    const choose = (key: Key) => verifyingVersions(key, version);
    let tried: readonly KeyVersion[] = [];
    const verified = await withFreshKey(this.#catalog, name, context.signal, choose, (versions) => {
      tried = versions;
      const able = demandAble(versions, form, batch);
      return this.#verifyPossible(able, form, batch, context.signal);
    });
    if (version !== undefined) return verified;
    const missed = batch.filter(
      (signed, index) => !verified[index] && isPossible(tried, form, signed),
    );
    if (missed.length === 0) return verified;
    const found = await this.#verifyWithNewer(name, form, tried, missed, context.signal);
    return batch.map((signed, index) => verified[index] ?? found.get(signed));
  }

  /** Another daemon may have made a version since the key was read: asks those that were not known. */
  async #verifyWithNewer(
    name: string,
    form: SignatureForm,
    known: readonly KeyVersion[],
    missed: readonly SignedData[],
    signal: Cancellation,
  ): Promise<ReadonlyMap<SignedData, KeyVersion | undefined>> {
    const key = await this.#catalog.confirm(name, signal);
    if (!key) throw keyNotFound(name);
    const ids = new Set(known.map(({ id }) => id));
    const newer = verifyingVersions(key, undefined).filter(({ id }) => !ids.has(id));
    if (newer.length === 0) return new Map();
    const able = ableVersions(newer, form, missed);
    const verified = await this.#verifyPossible(able, form, missed, signal);
    return new Map(missed.map((signed, index) => [signed, verified[index]]));
  }

  /**
   * Asks the token about those messages only whose signature is one that a version can make, in one
   * trip, but for the rare key whose versions write their signatures in several ways.
   */
  async #verifyPossible(
    versions: readonly KeyVersion[],
    form: SignatureForm,
    batch: readonly SignedData[],
    signal: Cancellation,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    const results = batch.map((): KeyVersion | undefined => undefined);
    for (const alike of alikeVersions(versions, form)) {
      const { asked, places } = readable(alike, batch, results);
      if (asked.length === 0) continue;
      const verified = await this.#verifyWith(alike.versions, form, asked, signal);
      for (const [index, place] of places.entries()) results[place] = verified[index];
    }
    return results;
  }

  async #withPeer(
    context: RequestContext,
    { digests, format, peerName }: FormedRequest,
  ): Promise<SignatureForm> {
    const peer = peerName && (await this.#peers.find(context, peerName));
    return { digests, format, peer };
  }

  #signWith(
    signer: KeyVersion,
    { digests, peer }: SignatureForm,
    batch: readonly Uint8Array[],
    signal: Cancellation,
  ): Promise<readonly Uint8Array[]> {
    return peer
      ? this.#token.signAgreed(signer, peer.point, batch, signal)
      : this.#token.sign(signer, batch, signal, digests);
  }

  #verifyWith(
    versions: readonly KeyVersion[],
    { digests, peer }: SignatureForm,
    batch: readonly SignedData[],
    signal: Cancellation,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    return peer
      ? this.#token.verifyAgreed(versions, peer.point, batch, signal)
      : this.#token.verify(versions, batch, signal, digests);
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
