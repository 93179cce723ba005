import {
  type Algorithm,
  hasTwoHalves,
  isAgreementAlgorithm,
  signatureBytes,
} from '../domain/algorithm.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import { fieldInvalid } from '../domain/errors.ts';
import { type Key, type KeyVersion, signingVersion, verifyingVersions } from '../domain/key.ts';
import { type AccessPolicy, keyNotFound } from './access-policy.ts';
import { assertEnabled } from './algorithm-policy.ts';
import type { RequestContext } from './caller.ts';
import { withFreshKey } from './fresh-key.ts';
import type { KeyCatalog } from './key-catalog.ts';
import type { Token } from './ports.ts';
import { dataReserved, ReservedText } from './reserved-text.ts';
import type { Signatures } from './signing-service.ts';
import type { TokenStream } from './token-values.ts';

export interface StreamServiceOptions {
  readonly token: Pick<Token, 'signStream' | 'verifyStream'>;
  readonly catalog: KeyCatalog;
  readonly policy: AccessPolicy;
  /** Algorithms that may sign; any may verify what was signed before. */
  readonly enabledAlgorithms: ReadonlySet<Algorithm>;
}

/** Which key signs a message that comes in pieces. */
export interface SignHeader {
  readonly key: string;
  /** undefined: the primary version. */
  readonly version: number | undefined;
}

/** With which key the MAC of such a message is checked. */
export interface VerifyHeader {
  readonly key: string;
  /** undefined: every version that may verify. */
  readonly version: number | undefined;
  readonly mac: Uint8Array;
}

/** The pieces of a message, each of which is used up when the next one is asked for. */
export type Pieces = AsyncIterable<Uint8Array>;

/** Each version that is tried takes a session of the token while a message comes in. */
const MAX_TRIED_VERSIONS = 8;

/**
 * SignStream and VerifyStream: as Sign and Verify, of messages that are in no memory as a whole.
 *
 * What a version may do is decided when the message begins, and once more by the token when it ends.
 * A message is read once, so nothing is tried again after its first piece.
 */
export class StreamService {
  readonly #token: StreamServiceOptions['token'];
  readonly #catalog: KeyCatalog;
  readonly #policy: AccessPolicy;
  readonly #enabledAlgorithms: ReadonlySet<Algorithm>;

  constructor({ token, catalog, policy, enabledAlgorithms }: StreamServiceOptions) {
    this.#token = token;
    this.#catalog = catalog;
    this.#policy = policy;
    this.#enabledAlgorithms = enabledAlgorithms;
  }

  /**
   * @throws {SigildError} PERMISSION_DENIED, KEY_NOT_FOUND, KEY_VERSION_NOT_FOUND,
   *   KEY_STATE_FORBIDS, KEY_AMBIGUOUS, FIELD_INVALID for a key pair, DATA_RESERVED,
   *   ALGORITHM_DISABLED, as {@link Token.signStream} and its stream, and what `pieces` throws
   */
  async sign(
    { client, signal }: RequestContext,
    { key: name, version }: SignHeader,
    pieces: Pieces,
  ): Promise<Signatures> {
    this.#policy.authorize(client, 'sign', name);
    const choose = (key: Key) => signingVersion(key, version);
    const begun = await withFreshKey(this.#catalog, name, signal, choose, async (signer) => {
      assertEnabled(signer.algorithm, this.#enabledAlgorithms);
      assertMakesMacs(signer);
      return { signer, stream: await this.#token.signStream(signer, signal) };
    });
    const signature = await passOn(pieces, begun.stream);
    return { signatures: [signature], version: begun.signer };
  }

  /**
   * @returns the version whose MAC it is; undefined when it is no version's
   * @throws {SigildError} as {@link sign}, but for ALGORITHM_DISABLED; FIELD_INVALID also where
   *   more versions would have to be tried than may be
   */
  async verify(
    { client, signal }: RequestContext,
    { key: name, version, mac }: VerifyHeader,
    pieces: Pieces,
  ): Promise<KeyVersion | undefined> {
    this.#policy.authorize(client, 'verify', name);
    if (version === undefined) await this.#takeInNewVersions(name, signal);
    const choose = (key: Key) => verifyingVersions(key, version);
    const stream = await withFreshKey(this.#catalog, name, signal, choose, (versions) => {
      for (const candidate of versions) assertMakesMacs(candidate);
      const possible = versions.filter(
        ({ algorithm }) => signatureBytes(algorithm) === mac.byteLength,
      );
      if (possible.length > MAX_TRIED_VERSIONS) throw tooManyVersions(name, possible.length);
      if (possible.length === 0) return Promise.resolve(NOBODYS);
      return this.#token.verifyStream(possible, mac, signal);
    });
    return await passOn(pieces, stream);
  }

  /** Another daemon may have made a version since the key was read, and the message comes only once. */
  async #takeInNewVersions(name: string, signal: Cancellation): Promise<void> {
    if (!(await this.#catalog.confirm(name, signal))) throw keyNotFound(name);
  }
}

/** Reads a message whose MAC no version can have made. */
const NOBODYS: TokenStream<undefined> = {
  update: () => Promise.resolve(),
  finish: () => Promise.resolve(undefined),
  abandon: () => undefined,
};

async function passOn<Result>(pieces: Pieces, stream: TokenStream<Result>): Promise<Result> {
  const reserved = new ReservedText();
  try {
    for await (const piece of pieces) {
      reserved.add(piece);
      await stream.update(piece);
    }
    if (reserved.isWhole) throw dataReserved();
    return await stream.finish();
  } catch (error) {
    stream.abandon();
    throw error;
  }
}

/** Signatures are made of a digest: its caller can hash a message of any size himself. */
function assertMakesMacs({ key, algorithm }: KeyVersion): void {
  if (!hasTwoHalves(algorithm)) return;
  const other = isAgreementAlgorithm(algorithm)
    ? 'call Sign or Verify with the whole message'
    : 'hash the message and call Sign or Verify with its digest';
  throw fieldInvalid('key', `messages are not streamed to ${key} (${algorithm}); ${other}`);
}

function tooManyVersions(name: string, versions: number): Error {
  return fieldInvalid(
    'version',
    `is required: ${versions} versions of key ${name} may verify, and a stream tries ` +
      `${MAX_TRIED_VERSIONS} at the most`,
  );
}
