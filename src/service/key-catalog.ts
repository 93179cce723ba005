import { ambiguousVersions, type Key } from '../domain/key.ts';
import { untilAborted, withLimit } from './deadline.ts';
import type { Token } from './ports.ts';

export interface KeyCatalogOptions {
  readonly token: Pick<Token, 'findKey' | 'listKeys'>;
  /** The longest time that one look at the token may take. */
  readonly lookupTimeoutMs: number;
  /** Told once for each look that finds two objects claiming one version of a key. */
  readonly onAmbiguous: (key: Key, versions: readonly number[]) => void;
  readonly now?: () => number;
}

interface Entry {
  readonly key: Key;
  readonly readAtMs: number;
}

/**
 * What is known of the keys on the token, so that a Sign costs no search.
 *
 * 1. A key that is not known is looked for on the token at once, so a key that another daemon or
 *    tool has just made is found.
 * 2. {@link refresh} reads everything anew; its caller runs it at an interval, which bounds how
 *    long a change made behind the daemon's back stays unseen.
 * 3. The token enforces each version's state itself: an entry that is out of date costs an error
 *    from the token, never a signature that should not be.
 */
export class KeyCatalog {
  readonly #token: KeyCatalogOptions['token'];
  readonly #lookupTimeoutMs: number;
  readonly #onAmbiguous: KeyCatalogOptions['onAmbiguous'];
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  readonly #lookups = new Map<string, Promise<Key | undefined>>();
  #refreshing: Promise<void> | undefined;

  constructor({ token, lookupTimeoutMs, onAmbiguous, now = Date.now }: KeyCatalogOptions) {
    this.#token = token;
    this.#lookupTimeoutMs = lookupTimeoutMs;
    this.#onAmbiguous = onAmbiguous;
    this.#now = now;
  }

  /** @returns what is known already, however old */
  peek(name: string): Key | undefined {
    return this.#entries.get(name)?.key;
  }

  /**
   * @param maxAgeMs an entry read longer ago than this is read again
   * @returns undefined when the token holds no such key
   * @throws {SigildError} as {@link Token.findKey}
   */
  async find(
    name: string,
    signal: AbortSignal,
    maxAgeMs = Number.POSITIVE_INFINITY,
  ): Promise<Key | undefined> {
    const entry = this.#entries.get(name);
    if (entry && this.#now() - entry.readAtMs < maxAgeMs) return entry.key;
    return untilAborted(this.#lookup(name), signal);
  }

  /** Takes in a key that was just read from the token or made on it. */
  remember(key: Key): void {
    const twice = ambiguousVersions(key);
    if (twice.length > 0) this.#onAmbiguous(key, twice);
    this.#entries.set(key.name, { key, readAtMs: this.#now() });
  }

  /** Every known key, in byte order of names. */
  all(): readonly Key[] {
    return [...this.#entries.values()]
      .map((entry) => entry.key)
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * Reads every key from the token; whoever asks meanwhile shares the running read.
   *
   * @throws {SigildError} as {@link Token.listKeys}; what was known before stays
   */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#readAll().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #readAll(): Promise<void> {
    const startedAtMs = this.#now();
    const keys = await withLimit(this.#lookupTimeoutMs, 'listing the token', (signal) =>
      this.#token.listKeys(signal),
    );
    const names = new Set(keys.map((key) => key.name));
    for (const [name, entry] of this.#entries) {
      if (!names.has(name) && entry.readAtMs < startedAtMs) this.#entries.delete(name);
    }
    for (const key of keys) {
      const known = this.#entries.get(key.name);
      if (!known || known.readAtMs < startedAtMs) this.remember(key);
    }
  }

  #lookup(name: string): Promise<Key | undefined> {
    const running = this.#lookups.get(name);
    if (running) return running;
    const lookup = this.#read(name).finally(() => this.#lookups.delete(name));
    this.#lookups.set(name, lookup);
    return lookup;
  }

  async #read(name: string): Promise<Key | undefined> {
    const key = await withLimit(this.#lookupTimeoutMs, `looking for key ${name}`, (signal) =>
      this.#token.findKey(name, signal),
    );
    if (key) this.remember(key);
    else this.#entries.delete(name);
    return key;
  }
}
