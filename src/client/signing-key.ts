import type { Limits } from './call-options.ts';
import { type CallOptions, checkedDeadline, limitsOf } from './call-options.ts';
import type { Item } from './frame-codec.ts';
import type { DataSource } from './send-stream.ts';
import type { Target } from './signing-calls.ts';
import type { Signature, SigningResult, Verification } from './signing-results.ts';
import type { SigningStreams, StreamTarget } from './signing-streams.ts';

export interface SigningOptions extends CallOptions {
  /** Sign: the primary version when absent. Verify: every version that may, newest first. */
  readonly version?: number | undefined;
  /**
   * How an ECDSA signature is written: DER when absent, RAW for r and s side by side, as JWS has it.
   * Not for other algorithms.
   */
  readonly format?: 'DER' | 'RAW' | undefined;
  /**
   * For agreement keys: the peer's public key, SubjectPublicKeyInfo in DER, with which the key of the MAC
   * is agreed upon.
   */
  readonly peerPublicKey?: Uint8Array | undefined;
  /** In place of it the name of a key pair of the daemon's whose public key it is. */
  readonly peerKey?: string | undefined;
  /**
   * Signs and compares nothing, but checks all else: sign gives the version that would sign and an empty
   * signature, verify finds no signature valid.
   */
  readonly dryRun?: boolean | undefined;
}

/** A message that is given by its digest, for key pairs of RSA and ECDSA. */
export interface Digest {
  /** By the hash that the key's algorithm names. */
  readonly digest: Uint8Array;
}

export interface StreamingOptions extends Omit<SigningOptions, 'deadlineMs' | 'dryRun'> {
  /** The time for all of it; when absent, there is no other than the daemon's own limits. */
  readonly deadlineMs?: number | undefined;
}

/** Sends an item to the daemon. */
export type Submit = (target: Target, item: Item, limits: Limits) => Promise<SigningResult>;

const MAX_VERSION = 2 ** 32 - 1;

/**
 * Signs and verifies with one key of the daemon's.
 *
 * Neither data nor signature may change before the promise settles. Whatever is wrong with a call
 * rejects its promise; nothing is thrown at once.
 */
export class SigningKey {
  /** The key's name. */
  readonly name: string;
  readonly #submit: Submit;
  readonly #streams: SigningStreams;
  readonly #deadlineMs: number;
  readonly #signTarget: Target;
  readonly #verifyTarget: Target;

  constructor(name: string, submit: Submit, streams: SigningStreams, deadlineMs: number) {
    this.name = name;
    this.#submit = submit;
    this.#streams = streams;
    this.#deadlineMs = deadlineMs;
    this.#signTarget = target('sign', name, undefined);
    this.#verifyTarget = target('verify', name, undefined);
  }

  /**
   * @param data of any length that the daemon's `maxDataBytes` allows, no bytes being a message, too;
   *   or its digest
   * @throws {TypeError} for data, a digest or a peer's key that is no Uint8Array
   * @throws {SigildError} as the rpc Sign says; DEADLINE_EXCEEDED, CLIENT_SATURATED, CANCELLED after
   *   the client was closed
   */
  sign(data: Uint8Array | Digest, options?: SigningOptions): Promise<Signature> {
    return this.#perform(this.#signTarget, options, () =>
      itemOf(data, undefined, options),
    ) as Promise<Signature>;
  }

  /**
   * Tells whether a signature is valid for data: a wrong one, of whatever length, is an answer and
   * no error.
   *
   * @param data as of {@link sign}
   * @throws {TypeError} for data, a digest, a peer's key or a signature that is no Uint8Array
   * @throws {SigildError} as the rpc Verify says, and as {@link sign}
   */
  verify(
    data: Uint8Array | Digest,
    signature: Uint8Array,
    options?: SigningOptions,
  ): Promise<Verification> {
    return this.#perform(this.#verifyTarget, options, () =>
      itemOf(data, bytes('signature', signature), options),
    ) as Promise<Verification>;
  }

  /**
   * Signs a message of any size. Its pieces are read as they are sent, and none is kept: a call that
   * fails is not repeated, and the caller has to begin anew with the first piece.
   *
   * @param source is not read on once the call has failed
   * @throws {TypeError} for a source that yields anything else than Uint8Arrays
   * @throws {SigildError} as the rpc SignStream says; DEADLINE_EXCEEDED also when the daemon is not
   *   reached within the client's `deadlineMs`
   * @throws what the source throws
   */
  async signStream(source: DataSource, options?: StreamingOptions): Promise<Signature> {
    return this.#streams.sign(this.#streamTarget(options), source);
  }

  /**
   * Tells whether a signature is valid for a message of any size, as {@link verify} does and else as
   * {@link signStream}.
   *
   * @throws {SigildError} as the rpc VerifyStream says
   */
  async verifyStream(
    source: DataSource,
    signature: Uint8Array,
    options?: StreamingOptions,
  ): Promise<Verification> {
    const target = this.#streamTarget(options);
    return this.#streams.verify(target, source, bytes('signature', signature));
  }

  #streamTarget({ version, deadlineMs, signal }: StreamingOptions = {}): StreamTarget {
    signal?.throwIfAborted();
    const { name: key } = this;
    if (deadlineMs !== undefined) checkedDeadline(deadlineMs);
    return { key, version: checkedVersion(version), deadlineMs, signal };
  }

  // Not async, as the promises that this would add are a good part of what a call costs.
  #perform(
    any: Target,
    options: SigningOptions | undefined,
    item: () => Item,
  ): Promise<SigningResult> {
    try {
      const limits = limitsOf(options, this.#deadlineMs);
      return this.#submit(versioned(any, options?.version), item(), limits);
    } catch (error) {
      return Promise.reject(error);
    }
  }
}

function target(operation: 'sign' | 'verify', key: string, version: number | undefined): Target {
  return { id: `${operation} ${version ?? ''} ${key}`, operation, key, version };
}

/** @throws {RangeError} for what is no version */
function versioned(any: Target, version: number | undefined): Target {
  if (version === undefined) return any;
  return target(any.operation, any.key, checkedVersion(version));
}

/** @throws {RangeError} for what is no version */
function checkedVersion(version: number | undefined): number | undefined {
  if (version === undefined) return undefined;
  if (Number.isInteger(version) && version >= 1 && version <= MAX_VERSION) return version;
  throw new RangeError(`version must be an integer from 1 to ${MAX_VERSION}`);
}

/** @throws {TypeError} */
function itemOf(
  message: Uint8Array | Digest,
  signature: Uint8Array | undefined,
  options: SigningOptions | undefined,
): Item {
  const isDigest = !(message instanceof Uint8Array) && message?.digest !== undefined;
  const data = isDigest ? bytes('digest', message.digest) : bytes('data', message as Uint8Array);
  // The calls without a form, which are nearly all, travel together.
  if (!isDigest && !hasForm(options)) return { data, signature };
  const { format, peerPublicKey, peerKey, dryRun } = options ?? {};
  if (peerPublicKey !== undefined) bytes('peerPublicKey', peerPublicKey);
  return { data, signature, form: { isDigest, format, peerPublicKey, peerKey, dryRun } };
}

function hasForm(options: SigningOptions | undefined): boolean {
  if (!options) return false;
  const { format, peerPublicKey, peerKey, dryRun } = options;
  return Boolean(format || dryRun) || peerPublicKey !== undefined || peerKey !== undefined;
}

// A string would be signed in an encoding of somebody's choice, and an array or nothing at all as no
// bytes.
function bytes(name: string, value: Uint8Array): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new TypeError(`${name} must be a Uint8Array`);
}
