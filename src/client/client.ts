import { type Client as Channel, connectivityState } from '@grpc/grpc-js';
import { type CallOptions, checkedDeadline, type Limits, limitsOf } from './call-options.ts';
import { openChannel, type TlsOptions } from './channel.ts';
import type { Item } from './frame-codec.ts';
import { Keys } from './keys.ts';
import { MAX_FRAME_BYTES } from './lanes.ts';
import { submitLargeItem } from './large-item.ts';
import { OpenCalls } from './open-calls.ts';
import { Pipeline } from './pipeline.ts';
import { SigildError } from './sigild-error.ts';
import { type SigningCall, SigningCalls, type Target } from './signing-calls.ts';
import { SigningKey } from './signing-key.ts';
import type { SigningResult } from './signing-results.ts';
import { SigningStreams } from './signing-streams.ts';
import { UnaryCalls } from './unary-calls.ts';

export type { CallOptions } from './call-options.ts';
export type { TlsOptions } from './channel.ts';
export type { Key, KeyVersion } from './key-decoding.ts';
export type {
  ChangeOptions,
  CreateKeyOptions,
  ImportKeyOptions,
  RotateKeyOptions,
  ScheduleDestroyOptions,
} from './key-options.ts';
export type { Keys } from './keys.ts';
export type { Jwk, Jwks, PublicKey, PublicKeyOptions } from './public-keys.ts';
export type { DataSource } from './send-stream.ts';
export type { Reason } from './sigild-error.ts';
export type { Digest, SigningKey, SigningOptions, StreamingOptions } from './signing-key.ts';
export type { Signature, Verification } from './signing-results.ts';

export { SigildError };

export interface ConnectOptions {
  /** `unix:PATH`, `HOST:PORT` or `[IPv6]:PORT`. */
  readonly address: string;
  /** Required, but for a unix socket or a loopback address. */
  readonly tls?: TlsOptions | undefined;
  /** The time for a call that sets none; 5,000 when absent. */
  readonly deadlineMs?: number | undefined;
  /** Further calls are refused with CLIENT_SATURATED; 10,000 when absent. */
  readonly maxOpenCalls?: number | undefined;
}

/** A call whose time is over. */
interface Overdue {
  readonly deadlineMs: number;
  readonly lastFailure?: SigildError | undefined;
}

const { READY } = connectivityState;

const DEFAULT_DEADLINE_MS = 5_000;
const DEFAULT_MAX_OPEN_CALLS = 10_000;

/**
 * Makes a client of a daemon. It connects with its first call, and again whenever the connection is
 * lost; one client serves a whole process.
 *
 * @throws {TypeError} for an address or a TLS configuration that cannot work
 * @throws {RangeError} for a number that is out of its bounds
 */
export function connect(options: ConnectOptions): Client {
  return new Client(options);
}

/**
 * A daemon's API.
 *
 * Signing and verifying calls that are made together travel together. Calls that are safe to repeat,
 * which all are but those of messages in pieces, are repeated within their deadline when the connection, the daemon or its token
 * goes away. A call that fails rejects with a {@link SigildError}, one whose signal aborts with the
 * signal's reason.
 */
export class Client {
  /** Creates, changes and lists keys. */
  readonly keys: Keys;
  readonly #address: string;
  readonly #deadlineMs: number;
  readonly #channel: Channel;
  readonly #open: OpenCalls;
  readonly #unary: UnaryCalls;
  readonly #signing: SigningCalls;
  readonly #pipeline: Pipeline;
  readonly #streams: SigningStreams;
  #closed: Promise<void> | undefined;

  /** Use {@link connect}. */
  constructor(options: ConnectOptions) {
    const { address, tls, maxOpenCalls = DEFAULT_MAX_OPEN_CALLS } = options;
    this.#address = address;
    this.#deadlineMs = checkedDeadline(options.deadlineMs ?? DEFAULT_DEADLINE_MS);
    if (!(maxOpenCalls >= 1)) throw new RangeError('maxOpenCalls must be at least 1');
    this.#open = new OpenCalls(maxOpenCalls);
    this.#channel = openChannel(address, tls);
    const overdue = (call: Overdue) => this.#overdue(call);
    this.#unary = new UnaryCalls(this.#channel, { open: this.#open, overdue });
    this.#signing = new SigningCalls({
      open: this.#open,
      overdue,
      onAbandoned: (call) => this.#pipeline.abandon(call),
    });
    this.#pipeline = new Pipeline(this.#channel, this.#signing);
    this.#streams = new SigningStreams(this.#channel, {
      open: this.#open,
      connectMs: this.#deadlineMs,
      overdue,
    });
    this.keys = new Keys(this.#unary, this.#deadlineMs);
  }

  /** A key of that name, whether or not the daemon has it. */
  key(name: string): SigningKey {
    return new SigningKey(name, this.#submit, this.#streams, this.#deadlineMs);
  }

  /**
   * Waits until the daemon can be reached.
   *
   * @throws {SigildError} DEADLINE_EXCEEDED; CANCELLED after {@link close}
   */
  async waitForReady(options?: CallOptions): Promise<void> {
    this.#open.assertOpen();
    const { deadlineMs, signal } = limitsOf(options, this.#deadlineMs);
    await new Promise<void>((resolve, reject) => {
      const aborted = () => reject(signal?.reason);
      signal?.addEventListener('abort', aborted, { once: true });
      this.#channel.waitForReady(Date.now() + deadlineMs, (error) => {
        signal?.removeEventListener('abort', aborted);
        if (error) reject(this.#overdue({ deadlineMs }));
        else resolve();
      });
    });
  }

  /**
   * Lets every call that is under way have its answer, within its deadline, and closes the
   * connection. Further calls are refused with CANCELLED. Every call gives the one promise.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#open.close();
    this.#pipeline.close();
    this.#channel.close();
  }

  readonly #submit = (target: Target, item: Item, limits: Limits): Promise<SigningResult> => {
    const bytes = item.data.byteLength + (item.signature?.byteLength ?? 0);
    // Frames have no room for more than the message and its signature.
    if (item.form || bytes > MAX_FRAME_BYTES)
      return submitLargeItem(this.#unary, target, item, limits);
    return this.#signing.open(target, item, limits, this.#admit);
  };

  readonly #admit = (call: SigningCall): void => this.#pipeline.add(call);

  #overdue({ deadlineMs, lastFailure }: Overdue): SigildError {
    const isConnected = this.#channel.getChannel().getConnectivityState(false) === READY;
    const why = isConnected ? '' : `; the daemon at ${this.#address} cannot be reached`;
    const last = lastFailure ? `; the last try: ${lastFailure.message}` : '';
    return new SigildError('DEADLINE_EXCEEDED', `no answer within ${deadlineMs} ms${why}${last}`, {
      ...(lastFailure && { cause: lastFailure }),
    });
  }
}
