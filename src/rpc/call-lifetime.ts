import type { ServerUnaryCall } from '@grpc/grpc-js';
import type { Cancellation } from '../domain/cancellation.ts';
import { SigildError } from '../domain/errors.ts';
import { CancellationSource } from './cancellation-source.ts';

/** How much earlier than a deadline its timer may fire by the clock that the deadline is read on. */
const CLOCK_SLACK_MS = 2;

/**
 * How long an answer is of use to a call's caller.
 *
 * The signal aborts with a SigildError: DEADLINE_EXCEEDED at the client's deadline, or after the default
 * time where the client sets none; CANCELLED when the client has gone before.
 */
export class CallLifetime {
  readonly #source: CancellationSource;
  readonly #timer: NodeJS.Timeout | undefined;
  #ended = false;

  /** @param client undefined when the caller has gone already */
  constructor(
    call: ServerUnaryCall<unknown, unknown>,
    defaultDeadlineMs: number,
    client: string | undefined,
  ) {
    this.#source = new CancellationSource(client);
    const deadline = Number(call.getDeadline());
    // gRPC itself watches a deadline that the client sets, and cancels the call when it passes.
    call.once('cancelled', () => this.#abort(() => goneOrLate(deadline)));
    if (deadline === Number.POSITIVE_INFINITY) {
      this.#timer = setTimeout(
        () => this.#abort(() => overdue(defaultDeadlineMs)),
        defaultDeadlineMs,
      );
    }
  }

  get signal(): Cancellation {
    return this.#source;
  }

  /** The call is answered: what happens to it from now on is of no interest. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  // gRPC cancels every call in the end, answered ones too: the reason is made only when needed.
  #abort(reason: () => SigildError): void {
    if (!this.#ended) this.#source.abort(reason());
  }
}

/**
 * Why gRPC has cancelled a call that was not answered.
 *
 * @param deadline of the call, in milliseconds since 1970; Infinity where the client set none
 */
export function goneOrLate(deadline: number): SigildError {
  if (Date.now() + CLOCK_SLACK_MS >= deadline) {
    return new SigildError('DEADLINE_EXCEEDED', "the caller's deadline has passed");
  }
  return new SigildError('CANCELLED', 'the caller has cancelled the request or gone');
}

function overdue(defaultDeadlineMs: number): SigildError {
  return new SigildError(
    'DEADLINE_EXCEEDED',
    `no answer within ${defaultDeadlineMs} ms, the limit for requests without a deadline`,
  );
}
