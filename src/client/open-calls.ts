import { SigildError } from './sigild-error.ts';

/** Counts a client's calls that are not answered yet, and bounds them. */
export class OpenCalls {
  readonly #limit: number;
  readonly #answered: Promise<void>;
  #onAnswered: () => void = () => undefined;
  #count = 0;
  #isClosed = false;

  constructor(limit: number) {
    this.#limit = limit;
    this.#answered = new Promise((resolve) => {
      this.#onAnswered = resolve;
    });
  }

  /** @throws {SigildError} CLIENT_SATURATED; CANCELLED after {@link close} */
  enter(): void {
    this.assertOpen();
    if (this.#count >= this.#limit) throw saturated(this.#limit);
    this.#count += 1;
  }

  /** @throws {SigildError} CANCELLED after {@link close} */
  assertOpen(): void {
    if (this.#isClosed) throw new SigildError('CANCELLED', 'the client is closed');
  }

  leave(): void {
    this.#count -= 1;
    if (this.#isClosed && this.#count === 0) this.#onAnswered();
  }

  /** Lets no call in any more, and waits for the last one to leave. */
  close(): Promise<void> {
    this.#isClosed = true;
    if (this.#count === 0) this.#onAnswered();
    return this.#answered;
  }
}

function saturated(limit: number): SigildError {
  return new SigildError(
    'CLIENT_SATURATED',
    `${limit} calls of this client wait for an answer already (maxOpenCalls); make fewer at once`,
    { retryAfterMs: 100 },
  );
}
