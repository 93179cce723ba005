import type { Call } from './call.ts';

/** A batch ends with the call that makes it larger than this. */
const MAX_BATCH_BYTES = 256 * 1024;

/**
 * Calls that travel to a lane together. One of unknown length travels alone: nobody shall wait for it
 * who did not ask for it.
 */
export class Batch {
  readonly calls: Call[] = [];
  readonly #macs: number;
  #asked = 0;
  #bytes = 0;
  #isFull = false;

  /** @param macs about how many it shall ask for */
  constructor(macs: number) {
    this.#macs = macs;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  /** @returns false when the call does not travel with these, and none behind it */
  add(call: Call): boolean {
    if (call.macs === 0 && this.calls.length > 0) this.#isFull = true;
    if (this.#isFull) return false;
    this.calls.push(call);
    this.#asked += call.macs;
    this.#bytes += call.frame.byteLength;
    this.#isFull = call.macs === 0 || this.#asked >= this.#macs || this.#bytes > MAX_BATCH_BYTES;
    return true;
  }
}
