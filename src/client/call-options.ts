/** What every call may be told. */
export interface CallOptions {
  /** The time for the call with all its repetitions; the client's `deadlineMs` when absent. */
  readonly deadlineMs?: number | undefined;
  /** Ends the wait: the call rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** What a call has been told, with the client's defaults. */
export interface Limits {
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
}

/** The longest time that Node's timers know. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** @throws {RangeError} for a deadline that is no time; `signal.reason` when it has aborted */
export function limitsOf(options: CallOptions | undefined, defaultDeadlineMs: number): Limits {
  const { deadlineMs = defaultDeadlineMs, signal } = options ?? {};
  signal?.throwIfAborted();
  return { deadlineMs: checkedDeadline(deadlineMs), signal };
}

/** @throws {RangeError} */
export function checkedDeadline(deadlineMs: number): number {
  if (deadlineMs > 0 && deadlineMs <= MAX_TIMER_MS) return deadlineMs;
  throw new RangeError(`deadlineMs must be more than 0 and at most ${MAX_TIMER_MS}`);
}
