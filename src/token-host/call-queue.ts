import type { Call } from './call.ts';

/** A batch ends with the call that makes it larger than this. */
const MAX_BATCH_BYTES = 256 * 1024;

/** Calls that wait for a session lane, in order of arrival. */
export class CallQueue {
  readonly #calls: Call[] = [];
  #macs = 0;

  get length(): number {
    return this.#calls.length;
  }

  /** What all that wait ask for together. */
  get macs(): number {
    return this.#macs;
  }

  /** Whether the call that has waited longest is one of unknown length. */
  get startsLong(): boolean {
    return this.#calls[0]?.macs === 0;
  }

  push(call: Call): void {
    this.#calls.push(call);
    this.#macs += call.macs;
  }

  /** Puts calls in front of all that wait. */
  pushFront(calls: readonly Call[]): void {
    this.#calls.unshift(...calls);
    for (const call of calls) this.#macs += call.macs;
  }

  /**
   * Takes the calls that have waited longest, without those whose callers have gone. A call of
   * unknown length travels alone: nobody shall wait for it who did not ask for it.
   *
   * @param macs about how many the batch shall ask for
   * @returns at least one call, unless all callers have gone
   */
  take(macs: number): Call[] {
    const batch: Call[] = [];
    let bytes = 0;
    let asked = 0;
    let taken = 0;
    for (const call of this.#calls) {
      const isFull = asked >= macs || bytes > MAX_BATCH_BYTES || call.macs === 0;
      if (batch.length > 0 && isFull) break;
      taken += 1;
      this.#macs -= call.macs;
      if (call.settled) continue;
      batch.push(call);
      bytes += call.frame.byteLength;
      asked += call.macs;
      if (call.macs === 0) break;
    }
    this.#calls.splice(0, taken);
    return batch;
  }

  /** Takes those at the head that belong to one lane, also those whose callers have gone. */
  takePinned(): Call[] {
    const other = this.#calls.findIndex((call) => !call.pinned);
    return this.#calls.splice(0, other < 0 ? this.#calls.length : other);
  }

  /** Takes all, also those whose callers have gone. */
  takeAll(): Call[] {
    this.#macs = 0;
    return this.#calls.splice(0);
  }

  /** Lets go of the calls whose callers have gone. */
  prune(): void {
    const calls = this.takeAll().filter((call) => !call.settled);
    this.pushFront(calls);
  }
}
