import { Batch } from './batch.ts';
import type { Call } from './call.ts';

/** Calls that wait for session lanes, in order of arrival. */
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
   * Takes the calls that have waited longest, without those whose callers have gone.
   *
   * @param macs about how many the batch shall ask for
   * @returns at least one call, unless all callers have gone
   */
  take(macs: number): Call[] {
    const batch = new Batch(macs);
    this.moveTo(batch);
    return batch.calls;
  }

  /** As {@link take}, to a batch that there is. */
  moveTo(batch: Batch): void {
    let taken = 0;
    for (const call of this.#calls) {
      if (batch.isFull || !(call.settled || batch.add(call))) break;
      taken += 1;
      this.#macs -= call.macs;
    }
    this.#calls.splice(0, taken);
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
