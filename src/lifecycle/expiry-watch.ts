/** Something that ends at a time. */
export interface Expiring {
  /** For the log: what it is. */
  readonly subject: Readonly<Record<string, unknown>>;
  readonly expiresAtMs: number;
  /** How long before its end it is told of, in milliseconds. */
  readonly noticeMs: number;
}

export interface ExpiryWatchOptions {
  /** All there is by now. */
  readonly list: () => readonly Expiring[];
  /** Told once a day of each whose end is near or over. */
  readonly tell: (item: Expiring, isOver: boolean) => void;
  readonly now?: () => number;
}

const DAY_MS = 24 * 60 * 60 * 1_000;

/** Tells in time of what is going to end. */
export class ExpiryWatch {
  readonly #options: ExpiryWatchOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ExpiryWatchOptions) {
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
    const { list, tell, now = Date.now } = this.#options;
    const nowMs = now();
    for (const item of list()) {
      if (item.expiresAtMs - item.noticeMs <= nowMs) tell(item, item.expiresAtMs <= nowMs);
    }
  }
}
