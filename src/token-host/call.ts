import type { Cancellation } from '../domain/cancellation.ts';
import { SigildError } from '../domain/errors.ts';

/** The host that had a call has ended: whether the token did the work is not known. */
export class HostLost extends SigildError {
  constructor(message: string, cause?: unknown) {
    super('TOKEN_UNAVAILABLE', message, { cause, retryAfterMs: 500 });
    this.name = 'HostLost';
  }
}

export interface CallOptions {
  /** Whether it may be done twice: it goes to another host when its own is lost. */
  readonly repeatable: boolean;
  /** How many MACs it asks for; 0 when it does something else, which takes nobody knows how long. */
  readonly macs: number;
  /** Whether it is a step of a message that comes in pieces, which asks for no MAC but is short. */
  readonly isStep?: boolean;
  /** The longest it may take inside the module; after that its host counts as hung. */
  readonly limitMs: number;
  readonly signal: Cancellation;
  /**
   * Whether it belongs to the one lane that remembers calls before it: the first one of the host that
   * has served longest. It then is one of unknown length.
   */
  readonly pinned?: boolean;
  /**
   * Throws when the answer shows that its host must not be trusted; the call is then repeated.
   * Returns an error when only this answer must not be used.
   */
  readonly check?: (answer: Buffer) => SigildError | undefined;
}

/** How often a call is given to a host at the most. */
const MAX_ATTEMPTS = 2;

/** One frame on its way to the token, and the promise of its answer. */
export class Call {
  readonly frame: Buffer;
  readonly macs: number;
  readonly isStep: boolean;
  readonly limitMs: number;
  readonly pinned: boolean;
  /** Whose it is; undefined where sigild itself asks. */
  readonly client: string | undefined;
  /** Settles with the answer's payload, or rejects with a SigildError. */
  readonly answer: Promise<Buffer>;
  readonly #check: CallOptions['check'];
  readonly #repeatable: boolean;
  readonly #signal: Cancellation;
  #attempts = 0;
  #settled = false;
  #resolve!: (payload: Buffer) => void;
  #reject!: (error: unknown) => void;
  readonly #leave = () => this.fail(this.#signal.reason);

  constructor(frame: Buffer, options: CallOptions) {
    const { repeatable, macs, isStep = false, limitMs, signal, pinned, check } = options;
    this.frame = frame;
    this.macs = macs;
    this.isStep = isStep;
    this.limitMs = limitMs;
    this.pinned = pinned ?? false;
    this.client = signal.client;
    this.#check = check;
    this.#repeatable = repeatable;
    this.#signal = signal;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    signal.addEventListener('abort', this.#leave, { once: true });
  }

  /** Whether nobody waits for it any more. */
  get settled(): boolean {
    return this.#settled;
  }

  /** Counts one more attempt. */
  begin(): void {
    this.#attempts += 1;
  }

  /** @throws {Error} when the answer shows that its host must not be trusted */
  succeed(payload: Buffer): void {
    const refusal = this.#check?.(payload);
    if (refusal) this.fail(refusal);
    else if (this.#settle()) this.#resolve(payload);
  }

  fail(error: unknown): void {
    if (this.#settle()) this.#reject(error);
  }

  /** @returns whether it shall be given to another host now that its own is lost */
  mayRepeat(): boolean {
    return this.#repeatable && !this.#settled && this.#attempts < MAX_ATTEMPTS;
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#signal.removeEventListener('abort', this.#leave);
    return true;
  }
}
