import { ALGORITHMS } from '../domain/algorithm.ts';
import { SigildError } from '../domain/errors.ts';
import type { Key, KeyVersion } from '../domain/key.ts';
import type { AdoptRule, PinSource, TokenSelector } from '../domain/token-options.ts';
import type { NewKey, Token } from '../service/ports.ts';
import type { StartFailure } from '../service/start-failure.ts';
import { HostLost } from './call.ts';
import { Dispatcher } from './dispatcher.ts';
import { FingerprintRegister } from './fingerprint-register.ts';
import { Host } from './host.ts';
import {
  decodeFingerprints,
  decodeIndex,
  decodeKey,
  decodeKeys,
  decodeResult,
  encodeCreateKey,
  encodeEmpty,
  encodeName,
  encodeSign,
  encodeVerify,
  OPERATION,
} from './protocol.ts';
import { type HostTransition, Supervisor } from './supervisor.ts';

export interface HostedTokenOptions {
  /** Path of host-process.js. */
  readonly program: string;
  /** The hosts' environment; it holds what the PKCS#11 module needs and no secret. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Absolute path of the PKCS#11 module. */
  readonly module: string;
  readonly selector: TokenSelector;
  readonly pin: PinSource;
  readonly adopt: readonly AdoptRule[];
  readonly hosts: number;
  readonly sessionsPerHost: number;
  readonly startTimeoutMs: number;
  /** A call that takes longer inside the module has hung: its host is killed and replaced. */
  readonly callTimeoutMs: number;
  readonly maxWaiting: number;
  readonly onTransition: (transition: HostTransition) => void;
  /** A defect in a host, for the log. */
  readonly onDefect: (stack: string) => void;
  /** Told once, when no host is left and none may be started again. */
  readonly onGiveUp: (failure: StartFailure) => void;
}

/** A scan of the whole token may take longer than a call for one key by this factor. */
const SCAN_FACTOR = 10;

/**
 * The Token port over host processes.
 *
 * It remembers each version's fingerprint, so that an answer that was made with another key is never
 * passed on: see {@link FingerprintRegister}.
 */
export class HostedToken implements Token {
  readonly #callTimeoutMs: number;
  readonly #dispatcher: Dispatcher;
  readonly #supervisor: Supervisor;
  readonly #fingerprints = new FingerprintRegister();

  private constructor(options: HostedTokenOptions) {
    this.#callTimeoutMs = options.callTimeoutMs;
    this.#dispatcher = new Dispatcher({
      maxWaiting: options.maxWaiting,
      onHostLost: (host, reason) => this.#supervisor.lost(host, reason),
    });
    this.#supervisor = new Supervisor({
      dispatcher: this.#dispatcher,
      hosts: options.hosts,
      onTransition: options.onTransition,
      onGiveUp: options.onGiveUp,
      startHost: (expectedSerial, signal) =>
        Host.start({ ...options, sessions: options.sessionsPerHost, expectedSerial, signal }),
    });
  }

  /**
   * Starts the first host; the others follow.
   *
   * @throws {StartFailure}
   */
  static async start(options: HostedTokenOptions): Promise<HostedToken> {
    const token = new HostedToken(options);
    try {
      await token.#supervisor.start();
      return token;
    } catch (error) {
      await token.close(0);
      throw error;
    }
  }

  async findKey(name: string, signal: AbortSignal): Promise<Key | undefined> {
    return decodeKey(await this.#scan(encodeName(name), signal));
  }

  async listKeys(signal: AbortSignal): Promise<readonly Key[]> {
    return decodeKeys(await this.#scan(encodeEmpty(OPERATION.listKeys), signal));
  }

  async createKey(key: NewKey, signal: AbortSignal): Promise<Key> {
    try {
      const limitMs = this.#callTimeoutMs * SCAN_FACTOR;
      const options = { repeatable: false, limitMs, signal };
      const created = decodeKey(await this.#dispatcher.submit(encodeCreateKey(key), options));
      if (created) return created;
    } catch (error) {
      if (!(error instanceof HostLost)) throw error;
      const made = await this.#findMade(key, signal);
      if (made) return made;
      throw error;
    }
    throw new SigildError('INTERNAL', 'a key was made and not returned');
  }

  async sign(version: KeyVersion, data: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    return this.#proven(encodeSign(version, data), [version], signal);
  }

  async verify(
    versions: readonly KeyVersion[],
    data: Uint8Array,
    mac: Uint8Array,
    signal: AbortSignal,
  ): Promise<KeyVersion | undefined> {
    signal.throwIfAborted();
    const candidates = versions.filter(
      ({ algorithm }) => ALGORITHMS[algorithm].macBytes === mac.byteLength,
    );
    if (candidates.length === 0) return undefined;
    const frame = encodeVerify(candidates, data, mac);
    return candidates[decodeIndex(await this.#proven(frame, candidates, signal))];
  }

  /**
   * Asks every host; one passing is enough to serve. A host whose canary does not sign is replaced,
   * one that is only too busy to answer in time is not.
   */
  async probe(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const options = { repeatable: false, limitMs: this.#callTimeoutMs, signal };
    const probes = this.#dispatcher.hosts.map((host) =>
      this.#dispatcher.submitTo(host, encodeEmpty(OPERATION.probe), options),
    );
    const outcomes = await Promise.allSettled(probes);
    if (outcomes.some(({ status }) => status === 'fulfilled')) return;
    const [failed] = outcomes.filter((outcome) => outcome.status === 'rejected');
    if (failed) throw failed.reason;
    throw new SigildError('TOKEN_UNAVAILABLE', 'no token host is logged in to the token');
  }

  /** Refuses calls, lets hosts finish what they have and log out; kills them after the limit. */
  async close(limitMs: number): Promise<void> {
    const hosts = this.#dispatcher.close();
    await Promise.all([this.#supervisor.stop(), ...hosts.map((host) => host.stop(limitMs))]);
  }

  /** The key, when the host that was lost had made it. */
  async #findMade({ name, id }: NewKey, signal: AbortSignal): Promise<Key | undefined> {
    const key = await this.findKey(name, signal);
    const hex = Buffer.from(id).toString('hex');
    return key?.versions.some((version) => version.id === hex) ? key : undefined;
  }

  #scan(frame: Buffer, signal: AbortSignal): Promise<Buffer> {
    const limitMs = this.#callTimeoutMs * SCAN_FACTOR;
    return this.#dispatcher.submit(frame, { repeatable: true, limitMs, signal });
  }

  /** Submits a MAC operation and checks with which keys it was done. */
  async #proven(
    frame: Buffer,
    versions: readonly KeyVersion[],
    signal: AbortSignal,
  ): Promise<Buffer> {
    const limitMs = this.#callTimeoutMs;
    const check = (answer: Buffer) =>
      this.#fingerprints.check(decodeFingerprints(answer), versions);
    const options = { repeatable: true, limitMs, signal, check };
    return decodeResult(await this.#dispatcher.submit(frame, options));
  }

}
