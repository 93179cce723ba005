import type { Cancellation } from '../domain/cancellation.ts';
import type { SigildError } from '../domain/errors.ts';

/** A request's {@link Cancellation}, and the means to cause it. */
export class CancellationSource implements Cancellation {
  readonly client: string | undefined;
  readonly #listeners: (() => void)[] = [];
  #reason: SigildError | undefined;

  constructor(client: string | undefined) {
    this.client = client;
  }

  get aborted(): boolean {
    return this.#reason !== undefined;
  }

  get reason(): SigildError | undefined {
    return this.#reason;
  }

  throwIfAborted(): void {
    if (this.#reason) throw this.#reason;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.push(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const at = this.#listeners.indexOf(listener);
    if (at >= 0) this.#listeners.splice(at, 1);
  }

  /** Only the first reason counts. */
  abort(reason: SigildError): void {
    if (this.#reason) return;
    this.#reason = reason;
    for (const listener of this.#listeners.splice(0)) listener();
  }
}
