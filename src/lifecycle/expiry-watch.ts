/** Something that ends at a time. */
export interface Expiring {
  readonly expiresAtMs: number;
  /** How long before its end it is told of, in milliseconds. */
  readonly noticeMs: number;
}

export interface ExpiryWatchOptions<Item extends Expiring> {
  /** All there is by now. */
  readonly list: () => readonly Item[];
  /** Told once a day of each whose end is near or over. */
  readonly tell: (item: Item, isOver: boolean) => void;
}

const DAY_MS = 24 * 60 * 60 * 1_000;

/** Tells in time of what is going to end. */
export class ExpiryWatch<Item extends Expiring> {
  readonly #options: ExpiryWatchOptions<Item>;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ExpiryWatchOptions<Item>) {
    this.#options = options;
  }

  /** Looks now, and then once a day; called again, it begins anew. */
  start(): void {
    this.stop();
    this.#look();
    this.#timer = setInterval(() => this.#look(), DAY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { list, tell } = this.#options;
    const nowMs = Date.now();
    for (const item of list()) {
      if (item.expiresAtMs - item.noticeMs <= nowMs) tell(item, item.expiresAtMs <= nowMs);
    }
  }
}
