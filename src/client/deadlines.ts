import { type Place, Queue } from './queue.ts';

/** What has a deadline. */
export interface Expiring {
  /** The length of time that it was given. */
  readonly deadlineMs: number;
  /** When that ends, on the clock of `performance.now()`. */
  readonly expiresAtMs: number;
}

/**
 * Watches over any number of deadlines with one timer for each length of time: what is given the
 * same time expires in the order in which it came.
 */
export class Deadlines<Item extends Expiring> {
  readonly #onExpired: (item: Item) => void;
  readonly #watches = new Map<number, Watch<Item>>();

  constructor(onExpired: (item: Item) => void) {
    this.#onExpired = onExpired;
  }

  /** @returns the place by which it leaves when it has no deadline any more */
  add(item: Item): Place<Item> {
    return this.#watchFor(item.deadlineMs).add(item);
  }

  /** @param place of an item that has not expired */
  delete(place: Place<Item>): void {
    this.#watches.get(place.item.deadlineMs)?.delete(place);
  }

  #watchFor(deadlineMs: number): Watch<Item> {
    const known = this.#watches.get(deadlineMs);
    if (known) return known;
    const watch = new Watch(deadlineMs, this.#onExpired, () => this.#watches.delete(deadlineMs));
    this.#watches.set(deadlineMs, watch);
    return watch;
  }
}

/** Watches over those that were given the same time. */
class Watch<Item extends Expiring> {
  readonly #items = new Queue<Item>();
  readonly #onExpired: (item: Item) => void;
  readonly #onUnused: () => void;
  #timer: NodeJS.Timeout;

  constructor(deadlineMs: number, onExpired: (item: Item) => void, onUnused: () => void) {
    this.#onExpired = onExpired;
    this.#onUnused = onUnused;
    this.#timer = this.#startTimer(deadlineMs);
  }

  add(item: Item): Place<Item> {
    // Only what is waited for keeps the process alive.
    if (this.#items.isEmpty) this.#timer.ref();
    return this.#items.add(item);
  }

  delete(place: Place<Item>): void {
    this.#items.delete(place);
    if (this.#items.isEmpty) this.#timer.unref();
  }

  // The timer is left to run when the item that it was set for goes: to set it anew would cost more
  // than to look in vain once in a while.
  #look(): void {
    const nowMs = performance.now();
    for (let item = this.#items.first; item; item = this.#items.first) {
      if (item.expiresAtMs > nowMs) {
        this.#timer = this.#startTimer(item.expiresAtMs - nowMs);
        return;
      }
      this.#items.shift();
      this.#onExpired(item);
    }
    this.#onUnused();
  }

  #startTimer(afterMs: number): NodeJS.Timeout {
    return setTimeout(() => this.#look(), Math.ceil(afterMs));
  }
}
