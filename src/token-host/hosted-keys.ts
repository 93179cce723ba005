import { signatureBytes } from '../domain/algorithm.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import type { KeyVersion } from '../domain/key.ts';
import type { Token } from '../service/ports.ts';
import type { SignedData } from '../service/token-values.ts';
import { encodeSignAgreed, encodeVerifyAgreed } from './agreed-frames.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { FingerprintRegister } from './fingerprint-register.ts';
import {
  decodeFingerprints,
  decodeIndexes,
  decodeMacs,
  decodeResult,
  encodeSign,
  encodeVerify,
} from './mac-frames.ts';
import { decodePublicKeys, encodeVersionRefs, OPERATION } from './protocol.ts';

export interface HostedKeysOptions {
  readonly dispatcher: Pick<Dispatcher, 'submit'>;
  readonly fingerprints: FingerprintRegister;
  readonly callTimeoutMs: number;
  /** The same for a call that may look at the whole token. */
  readonly scanLimitMs: number;
}

/** Each so many MACs of a batch may take as long as one call. */
const MACS_PER_LIMIT = 64;

/** Of a call that gets a free lane for itself: to agree upon a key takes longer than many MACs. */
const UNKNOWN_LENGTH = 0;

/** A call that makes or checks MACs. */
interface MacCall {
  readonly frame: Buffer;
  readonly versions: readonly KeyVersion[];
  /** How many the token has to make at the most, or {@link UNKNOWN_LENGTH}. */
  readonly macs: number;
  /** The length of a result that can be right. */
  readonly resultBytes: number;
  /** Whether a result of that length can be right; absent where each can. */
  readonly isPossible?: (result: Buffer) => boolean;
}

type UseOfKeys = 'sign' | 'verify' | 'signAgreed' | 'verifyAgreed' | 'publicKeys';

/** What the hosts do with keys: each answer proves with which ones it was made. */
export class HostedKeys implements Pick<Token, UseOfKeys> {
  readonly #dispatcher: HostedKeysOptions['dispatcher'];
  readonly #fingerprints: FingerprintRegister;
  readonly #callTimeoutMs: number;
  readonly #scanLimitMs: number;

  constructor({ dispatcher, fingerprints, callTimeoutMs, scanLimitMs }: HostedKeysOptions) {
    this.#dispatcher = dispatcher;
    this.#fingerprints = fingerprints;
    this.#callTimeoutMs = callTimeoutMs;
    this.#scanLimitMs = scanLimitMs;
  }

  sign(
    version: KeyVersion,
    batch: readonly Uint8Array[],
    signal: Cancellation,
    digests = false,
  ): Promise<readonly Uint8Array[]> {
    const code = digests ? OPERATION.signDigests : OPERATION.sign;
    const frame = encodeSign(version, batch, code);
    return this.#sign(frame, version, batch.length, batch.length, signal);
  }

  signAgreed(
    version: KeyVersion,
    peer: Uint8Array,
    batch: readonly Uint8Array[],
    signal: Cancellation,
  ): Promise<readonly Uint8Array[]> {
    const frame = encodeSignAgreed(version, peer, batch);
    return this.#sign(frame, version, batch.length, UNKNOWN_LENGTH, signal);
  }

  verify(
    versions: readonly KeyVersion[],
    batch: readonly SignedData[],
    signal: Cancellation,
    digests = false,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    const code = digests ? OPERATION.verifyDigests : OPERATION.verify;
    const frame = encodeVerify(versions, batch, code);
    return this.#verify(frame, versions, batch.length, batch.length * versions.length, signal);
  }

  verifyAgreed(
    versions: readonly KeyVersion[],
    peer: Uint8Array,
    batch: readonly SignedData[],
    signal: Cancellation,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    const frame = encodeVerifyAgreed(versions, peer, batch);
    return this.#verify(frame, versions, batch.length, UNKNOWN_LENGTH, signal);
  }

  async publicKeys(
    versions: readonly KeyVersion[],
    signal: Cancellation,
  ): Promise<readonly Uint8Array[]> {
    const check = (answer: Buffer) => {
      const { result, fingerprints } = decodePublicKeys(answer);
      if (result.length !== versions.length) throw new Error('it left public keys out');
      return this.#fingerprints.check(fingerprints, versions);
    };
    const options = { repeatable: true, macs: 0, limitMs: this.#scanLimitMs, signal, check };
    const answer = await this.#dispatcher.submit(encodeVersionRefs(versions), options);
    return decodePublicKeys(answer).result;
  }

  async #sign(
    frame: Buffer,
    version: KeyVersion,
    messages: number,
    macs: number,
    signal: Cancellation,
  ): Promise<readonly Uint8Array[]> {
    const resultBytes = messages * signatureBytes(version.algorithm);
    const call = { frame, versions: [version], macs, resultBytes };
    return decodeMacs(await this.#submit(call, signal), messages);
  }

  async #verify(
    frame: Buffer,
    versions: readonly KeyVersion[],
    messages: number,
    macs: number,
    signal: Cancellation,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    const isPossible = (result: Buffer) =>
      decodeIndexes(result).every((index) => index >= -1 && index < versions.length);
    const call = { frame, versions, macs, resultBytes: 2 * messages, isPossible };
    return decodeIndexes(await this.#submit(call, signal)).map((index) => versions[index]);
  }

  async #submit(
    { frame, versions, macs, resultBytes, isPossible }: MacCall,
    signal: Cancellation,
  ): Promise<Buffer> {
    const check = (answer: Buffer) => {
      const result = decodeResult(answer);
      if (result.byteLength !== resultBytes) {
        throw new Error('it gave a result of the wrong length');
      }
      if (isPossible?.(result) === false) throw new Error('it gave a result that cannot be');
      return this.#fingerprints.check(decodeFingerprints(answer), versions);
    };
    const limitMs = this.#callTimeoutMs * Math.max(1, Math.ceil(macs / MACS_PER_LIMIT));
    const options = { repeatable: true, macs, limitMs, signal, check };
    return decodeResult(await this.#dispatcher.submit(frame, options));
  }
}
