import type { KeyCatalog } from './key-catalog.ts';
import type { KeyDestruction } from './key-destruction.ts';

export interface DestructionScheduleOptions {
  readonly catalog: Pick<KeyCatalog, 'all' | 'refresh'>;
  readonly destruction: Pick<KeyDestruction, 'dueTimeMs' | 'finish'>;
  /** How long until the next look at the latest: at most 2,147,483,647 ms, as every timer. */
  readonly intervalMs: number;
  /** Told once of each failure of a key, and again when it is another one. */
  readonly onFailure: (key: string, error: unknown) => void;
  readonly now?: () => number;
}

/**
 * Has done at its time what was scheduled, by whichever daemon and before whichever restart: looks
 * through what is known of the keys, which says also what other daemons have scheduled, and lets
 * {@link KeyDestruction.finish} look at the token itself. What fails is tried again at the next look.
 */
export class DestructionSchedule {
  readonly #options: DestructionScheduleOptions;
  readonly #now: () => number;
  /** By key: what kept it from being finished. */
  readonly #failures = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  #looking: Promise<void> = Promise.resolve();

  constructor(options: DestructionScheduleOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Reads the token, and from then on looks at what is known of it. */
  start(): void {
    this.#looking = this.#options.catalog.refresh().then(
      () => this.#look(),
      // What cannot be read now is found by the reads to come.
      () => this.#wait(this.#options.intervalMs),
    );
  }

  /** Begins nothing more, and waits for what is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    for (const { name, dueMs } of this.#schedule()) {
      if (dueMs <= this.#now()) await this.#finish(name);
    }
    const { intervalMs } = this.#options;
    const nextMs = this.#schedule().find(({ dueMs }) => dueMs > this.#now())?.dueMs ?? Infinity;
    this.#wait(Math.min(intervalMs, nextMs - this.#now()));
  }

  /** What is known to be done at some time, the earliest first. */
  #schedule(): readonly { readonly name: string; readonly dueMs: number }[] {
    const { catalog, destruction } = this.#options;
    return catalog
      .all()
      .flatMap((key) => {
        const dueMs = destruction.dueTimeMs(key);
        return dueMs === undefined ? [] : [{ name: key.name, dueMs }];
      })
      .sort((one, other) => one.dueMs - other.dueMs);
  }

  async #finish(name: string): Promise<void> {
    const { destruction, onFailure } = this.#options;
    if (this.#isStopped) return;
    try {
      await destruction.finish(name);
      this.#failures.delete(name);
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      if (!this.#isStopped && this.#failures.get(name) !== what) onFailure(name, error);
      this.#failures.set(name, what);
    }
  }

  #wait(waitMs: number): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.#look();
    }, waitMs);
  }
}
