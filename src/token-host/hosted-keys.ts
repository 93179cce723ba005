import { signatureBytes } from '../domain/algorithm.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import type { KeyVersion } from '../domain/key.ts';
import type { SignedData, Token } from '../service/ports.ts';
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
import { decodePublicKeys, encodeVersionRefs } from './protocol.ts';

export interface HostedKeysOptions {
  readonly dispatcher: Pick<Dispatcher, 'submit'>;
  readonly fingerprints: FingerprintRegister;
  readonly callTimeoutMs: number;
  /** The same for a call that may look at the whole token. */
  readonly scanLimitMs: number;
}

/** Each so many MACs of a batch may take as long as one call. */
const MACS_PER_LIMIT = 64;

/** What the hosts do with keys: each answer proves with which ones it was made. */
export class HostedKeys implements Pick<Token, 'sign' | 'verify' | 'publicKeys'> {
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

  async sign(
    version: KeyVersion,
    batch: readonly Uint8Array[],
    signal: Cancellation,
    digests = false,
  ): Promise<readonly Uint8Array[]> {
    const resultBytes = batch.length * signatureBytes(version.algorithm);
    const frame = encodeSign(version, batch, digests);
    const answer = await this.#proven(frame, [version], batch.length, resultBytes, signal);
    return decodeMacs(decodeResult(answer), batch.length);
  }

  async verify(
    versions: readonly KeyVersion[],
    batch: readonly SignedData[],
    signal: Cancellation,
    digests = false,
  ): Promise<readonly (KeyVersion | undefined)[]> {
    const macs = batch.length * versions.length;
    const frame = encodeVerify(versions, batch, digests);
    const answer = await this.#proven(frame, versions, macs, 2 * batch.length, signal);
    return decodeIndexes(decodeResult(answer)).map((index) => versions[index]);
  }

  async publicKeys(
    versions: readonly KeyVersion[],
    signal: Cancellation,
  ): Promise<readonly Uint8Array[]> {
    const check = (answer: Buffer) =>
      this.#fingerprints.check(decodePublicKeys(answer).fingerprints, versions);
    const options = { repeatable: true, macs: 0, limitMs: this.#scanLimitMs, signal, check };
    const answer = await this.#dispatcher.submit(encodeVersionRefs(versions), options);
    return decodePublicKeys(answer).result;
  }

  /**
   * Submits a MAC operation and checks with which keys it was done.
   *
   * @param macs how many the token has to make at the most
   * @param resultBytes the length of a result that can be right
   */
  #proven(
    frame: Buffer,
    versions: readonly KeyVersion[],
    macs: number,
    resultBytes: number,
    signal: Cancellation,
  ): Promise<Buffer> {
    const check = (answer: Buffer) => {
      if (decodeResult(answer).byteLength !== resultBytes) {
        throw new Error('it gave a result of the wrong length');
      }
      return this.#fingerprints.check(decodeFingerprints(answer), versions);
    };
    const limitMs = this.#callTimeoutMs * Math.ceil(macs / MACS_PER_LIMIT);
    const options = { repeatable: true, macs, limitMs, signal, check };
    return this.#dispatcher.submit(frame, options);
  }
}
