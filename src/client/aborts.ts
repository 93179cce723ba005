interface Watch<Item> {
  readonly items: Set<Item>;
  readonly listener: () => void;
}

/** Watches over any number of calls with one listener for each signal. */
export class Aborts<Item> {
  readonly #onAborted: (item: Item, reason: unknown) => void;
  readonly #watches = new Map<AbortSignal, Watch<Item>>();

  constructor(onAborted: (item: Item, reason: unknown) => void) {
    this.#onAborted = onAborted;
  }

  /** @param signal one that has not aborted yet */
  add(item: Item, signal: AbortSignal): void {
    const watch = this.#watches.get(signal) ?? this.#watch(signal);
    watch.items.add(item);
  }

  delete(item: Item, signal: AbortSignal): void {
    const watch = this.#watches.get(signal);
    if (!watch) return;
    watch.items.delete(item);
    if (watch.items.size > 0) return;
    signal.removeEventListener('abort', watch.listener);
    this.#watches.delete(signal);
  }

  #watch(signal: AbortSignal): Watch<Item> {
    const items = new Set<Item>();
    const listener = () => {
      this.#watches.delete(signal);
      for (const item of items) this.#onAborted(item, signal.reason);
    };
    const watch = { items, listener };
    signal.addEventListener('abort', listener, { once: true });
    this.#watches.set(signal, watch);
    return watch;
  }
}
