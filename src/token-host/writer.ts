import { SigildError } from '../domain/errors.ts';
import { untilAborted } from '../service/deadline.ts';
import { StartFailure } from '../service/start-failure.ts';
import type { CallOptions } from './call.ts';
import { Dispatcher } from './dispatcher.ts';
import type { Host } from './host.ts';
import type { HostTransition } from './supervisor.ts';

export interface WriterOptions {
  /** How many calls may wait for a lane. */
  readonly maxWaiting: number;
  /** @throws {StartFailure} */
  readonly startHost: () => Promise<Host>;
  readonly onTransition: (transition: HostTransition) => void;
}

const RETRY_MS = 1_000;

/**
 * The one host that changes the token. When it is lost, the next change starts it anew.
 *
 * All other hosts only use keys and search for them. SoftHSM 2.6 makes a process that changes the
 * token blind for what others had changed since it last looked, until one of them changes it again;
 * a process that only looks sees everything at once. Besides, key generation, which takes a token
 * seconds for some algorithms, never holds up a session that signs.
 */
export class Writer {
  readonly #options: WriterOptions;
  readonly #dispatcher: Dispatcher<Host>;
  #starting: Promise<void> | undefined;
  #closed = false;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#dispatcher = new Dispatcher({
      maxWaiting: options.maxWaiting,
      onHostLost: (host, reason) => {
        options.onTransition({ event: 'lost', host, reason });
        this.#dispatcher.failFast('the token host that changes the token was lost; try again');
      },
    });
  }

  /** Starts the host, so that the first change need not wait for it. */
  prepare(): void {
    // Who hears of a failure is the next change, which tries again.
    this.#start().catch(() => undefined);
  }

  /**
   * @returns the payload of the lane's answer
   * @throws {SigildError} as {@link Dispatcher.submit}
   */
  async submit(frame: Buffer, options: CallOptions): Promise<Buffer> {
    const mayStart = this.#dispatcher.hosts.length === 0 && !this.#closed;
    if (mayStart) await untilAborted(this.#start(), options.signal);
    return this.#dispatcher.submit(frame, options);
  }

  /** Ends the host; the next change starts another one. */
  renew(reason: Error): void {
    for (const host of this.#dispatcher.hosts) this.#dispatcher.loseHost(host, reason);
  }

  /** Fails what waits and all that comes. @returns the hosts, which are the caller's to stop */
  close(): readonly Host[] {
    this.#closed = true;
    return this.#dispatcher.close();
  }

  #start(): Promise<void> {
    this.#starting ??= this.#startHost().finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  async #startHost(): Promise<void> {
    try {
      const host = await this.#options.startHost();
      this.#options.onTransition({ event: 'started', host });
      this.#dispatcher.addHost(host);
    } catch (error) {
      // Then the dispatcher says what becomes of the call.
      if (this.#closed) return;
      if (!(error instanceof StartFailure)) throw error;
      this.#options.onTransition({ event: 'failed', failure: error });
      throw new SigildError('TOKEN_UNAVAILABLE', 'no change can be made on the token now', {
        cause: error,
        retryAfterMs: RETRY_MS,
      });
    }
  }
}
