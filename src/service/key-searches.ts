import type { Cancellation } from '../domain/cancellation.ts';
import type { Key } from '../domain/key.ts';
import { untilAborted } from './deadline.ts';

export interface KeySearchesOptions {
  /** @returns what has become known of a key meanwhile, which saves the search */
  readonly peek: (name: string) => Key | undefined;
  /** Looks for a key on the token. @throws {SigildError} */
  readonly read: (name: string) => Promise<Key | undefined>;
}

/**
 * A search takes a token that holds thousands of keys as long as thousands of MACs: were each unknown
 * name searched for at once, none of its sessions would be left to sign, or to list all keys.
 */
const MAX_AT_ONCE = 2;

interface Search {
  /** Those who still wait for it. */
  callers: number;
  found?: Promise<Key | undefined>;
}

/** Searches for keys that are not known, a few at a time, in order of arrival, once for all who ask. */
export class KeySearches {
  readonly #options: KeySearchesOptions;
  readonly #searches = new Map<string, Search>();
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(options: KeySearchesOptions) {
    this.#options = options;
  }

  /**
   * @returns undefined when the token holds no such key
   * @throws {SigildError} what the read throws; `signal.reason` when it aborts
   */
  async find(name: string, signal: Cancellation): Promise<Key | undefined> {
    signal.throwIfAborted();
    const search = this.#searches.get(name) ?? { callers: 0 };
    this.#searches.set(name, search);
    search.callers += 1;
    search.found ??= this.#run(name, search);
    try {
      return await untilAborted(search.found, signal);
    } finally {
      search.callers -= 1;
    }
  }

  async #run(name: string, search: Search): Promise<Key | undefined> {
    if (this.#running < MAX_AT_ONCE) this.#running += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const { peek, read } = this.#options;
    try {
      return search.callers === 0 ? undefined : (peek(name) ?? (await read(name)));
    } finally {
      // Nobody may join a search that has ended.
      this.#searches.delete(name);
      this.#passOn();
    }
  }

  #passOn(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#running -= 1;
  }
}
