import { Aborts } from './aborts.ts';
import type { Limits } from './call-options.ts';
import { Deadlines } from './deadlines.ts';
import type { Item } from './frame-codec.ts';
import type { OpenCalls } from './open-calls.ts';
import type { Place } from './queue.ts';
import type { SigildError } from './sigild-error.ts';
import type { SigningResult } from './signing-results.ts';

/** What the calls of a frame have in common. */
export interface Target {
  /** The same for the same target. */
  readonly id: string;
  readonly operation: 'sign' | 'verify';
  readonly key: string;
  readonly version: number | undefined;
}

/** What carries calls to the daemon. */
export interface Carrier {
  /** How many of its calls are not settled. */
  awaited: number;
}

/** A sign or verify whose caller waits. */
export interface SigningCall extends Item {
  readonly target: Target;
  readonly deadlineMs: number;
  readonly expiresAtMs: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (result: SigningResult) => void;
  readonly reject: (reason: unknown) => void;
  isSettled: boolean;
  /** Among those with its length of time. */
  deadline: Place<SigningCall> | undefined;
  /** Among those that wait to be sent. */
  lane: Place<SigningCall> | undefined;
  /** What carries it; undefined while it waits to be sent. */
  carrier: Carrier | undefined;
  /** The most items of a frame that it may be one of. */
  maxFrameItems: number;
  /** Why its last try failed, and how many did. */
  lastFailure: SigildError | undefined;
  failures: number;
}

interface SigningCallsOptions {
  readonly open: OpenCalls;
  /** Makes the error for a call whose time is over. */
  readonly overdue: (call: SigningCall) => SigildError;
  /** Told of a call that was settled without an answer. */
  readonly onAbandoned: (call: SigningCall) => void;
}

/** The calls of a client that wait: each is settled once, by its answer, deadline or signal. */
export class SigningCalls {
  readonly #open: OpenCalls;
  readonly #onAbandoned: (call: SigningCall) => void;
  readonly #deadlines: Deadlines<SigningCall>;
  readonly #aborts: Aborts<SigningCall>;

  constructor({ open, overdue, onAbandoned }: SigningCallsOptions) {
    this.#open = open;
    this.#onAbandoned = onAbandoned;
    this.#deadlines = new Deadlines((call) => this.#abandon(call, overdue(call)));
    this.#aborts = new Aborts((call, reason) => this.#abandon(call, reason));
  }

  /**
   * @param admit is given the call, which waits from now on
   * @throws {SigildError} CLIENT_SATURATED, CANCELLED
   */
  open(
    target: Target,
    item: Item,
    { deadlineMs, signal }: Limits,
    admit: (call: SigningCall) => void,
  ): Promise<SigningResult> {
    this.#open.enter();
    return new Promise((resolve, reject) => {
      const call: SigningCall = {
        target,
        data: item.data,
        signature: item.signature,
        deadlineMs,
        expiresAtMs: performance.now() + deadlineMs,
        signal,
        resolve,
        reject,
        isSettled: false,
        deadline: undefined,
        lane: undefined,
        carrier: undefined,
        maxFrameItems: Number.POSITIVE_INFINITY,
        lastFailure: undefined,
        failures: 0,
      };
      call.deadline = this.#deadlines.add(call);
      if (signal) this.#aborts.add(call, signal);
      admit(call);
    });
  }

  /** Does nothing for a call that is settled. */
  answer(call: SigningCall, result: SigningResult): void {
    if (this.#settle(call)) call.resolve(result);
  }

  /** Does nothing for a call that is settled. */
  fail(call: SigningCall, error: SigildError): void {
    if (this.#settle(call)) call.reject(error);
  }

  #abandon(call: SigningCall, reason: unknown): void {
    if (!this.#settle(call)) return;
    call.reject(reason);
    this.#onAbandoned(call);
  }

  #settle(call: SigningCall): boolean {
    if (call.isSettled) return false;
    call.isSettled = true;
    if (call.deadline) this.#deadlines.delete(call.deadline);
    if (call.signal) this.#aborts.delete(call, call.signal);
    this.#open.leave();
    return true;
  }
}
