import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import type { Cancellation } from '../domain/cancellation.ts';
import { ambiguousVersions, type Key } from '../domain/key.ts';
import { untilAborted, withLimit } from './deadline.ts';
import { KeySearches } from './key-searches.ts';
import type { Token } from './ports.ts';
import type { ListedKeys } from './token-values.ts';
import { Turns } from './turns.ts';

export interface KeyCatalogOptions {
  readonly token: Pick<Token, 'findKey' | 'listKeys'>;
  /** The longest time that one look at the token may take. */
  readonly lookupTimeoutMs: number;
  /** Told once for each look that finds two objects claiming one version of a key. */
  readonly onAmbiguous: (key: Key, versions: readonly number[]) => void;
  /** Told once of a key with records that cannot be understood, until their number changes. */
  readonly onUnreadable?: (key: Key, records: number) => void;
  /** Milliseconds that never go back, whatever becomes of the wall clock. */
  readonly now?: () => number;
}

/** How long after a read a key is read again to see whether a version was added to it. */
const CONFIRM_INTERVAL_MS = 100;

/** Of a listing so many are taken in at a time, between which others get their turn. */
const KEYS_PER_TURN = 512;

interface Entry {
  readonly key: Key;
  /** When the read began that found it. */
  readonly readAtMs: number;
}

/**
 * What is known of the keys on the token, so that a Sign costs no search.
 *
 * 1. A key that is not known is searched for on the token, so a key that another daemon or tool has
 *    just made is found.
 * 2. {@link refresh} takes in what has changed; its caller runs it at an interval, which bounds how
 *    long a change made behind the daemon's back stays unseen. What was learned otherwise is read
 *    again then: of two reads that overlapped, the one that counts may have missed a change.
 * 3. The token enforces each version's state itself: an entry that is out of date costs an error
 *    from the token, never a signature that should not be.
 * 4. Reads overlap. Of two the one that began later counts, whichever ends first, so that a key
 *    that was just made is not forgotten for a search that had begun before.
 */
export class KeyCatalog {
  readonly #token: KeyCatalogOptions['token'];
  readonly #lookupTimeoutMs: number;
  readonly #onAmbiguous: KeyCatalogOptions['onAmbiguous'];
  readonly #onUnreadable: KeyCatalogOptions['onUnreadable'];
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  readonly #searches = new KeySearches({
    peek: (name) => this.peek(name),
    read: (name) => this.#read(name),
  });
  /** By name: reads of keys that are known. */
  readonly #lookups = new Map<string, Promise<Key | undefined>>();
  /** By name: the read for {@link confirm} that waits for its time. */
  readonly #confirmations = new Map<string, Promise<Key | undefined>>();
  /** One such read of a name at a time. */
  readonly #turns = new Turns();
  #refreshing: Promise<void> | undefined;
  #readingAnew: Promise<void> | undefined;
  /** The last listing that was taken in. */
  #listing: string | undefined;
  /** Names whose entries have changed since the last listing began, and not by one. */
  readonly #elsewhere = new Set<string>();

  constructor({ token, lookupTimeoutMs, onAmbiguous, onUnreadable, now }: KeyCatalogOptions) {
    this.#token = token;
    this.#lookupTimeoutMs = lookupTimeoutMs;
    this.#onAmbiguous = onAmbiguous;
    this.#onUnreadable = onUnreadable;
    this.#now = now ?? (() => performance.now());
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
    signal: Cancellation,
    maxAgeMs = Number.POSITIVE_INFINITY,
  ): Promise<Key | undefined> {
    const entry = this.#entries.get(name);
    if (entry && this.#now() - entry.readAtMs < maxAgeMs) return entry.key;
    if (!entry) return this.#searches.find(name, signal);
    signal.throwIfAborted();
    return untilAborted(this.#lookup(name), signal);
  }

  /**
   * What the token says of a key now, for callers whose number strangers decide: however many ask,
   * a key is read ten times a second at the most, and they wait for the next time.
   *
   * @throws {SigildError} as {@link Token.findKey}
   */
  async confirm(name: string, signal: Cancellation): Promise<Key | undefined> {
    signal.throwIfAborted();
    return untilAborted(this.#confirmation(name), signal);
  }

  /** Takes in a key that was just read from the token or made on it. */
  remember(key: Key): void {
    this.#learn(key.name, key, this.#now());
  }

  /** Every known key, in byte order of names. */
  all(): readonly Key[] {
    return [...this.#entries.values()]
      .map((entry) => entry.key)
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The known keys that the daemon rotates by itself. */
  rotating(): readonly Key[] {
    return this.#where(({ settings }) => settings.rotationPeriodMs !== undefined);
  }

  /** The known keys with records on the token that do not count. */
  withLeftovers(): readonly Key[] {
    return this.#where(({ leftovers }) => leftovers !== undefined);
  }

  /**
   * Takes in what has changed on the token; whoever asks meanwhile shares the running read.
   *
   * @throws {SigildError} as {@link Token.listKeys}; what was known before stays
   */
  refresh(): Promise<void> {
    if (this.#readingAnew !== undefined) return this.#readingAnew;
    this.#refreshing ??= this.#list(this.#listing).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  /**
   * As {@link refresh}, but reads every key, whatever is known of it.
   *
   * @throws {SigildError} as {@link Token.listKeys}; what was known before stays
   */
  readAnew(): Promise<void> {
    const list = () => this.#list(undefined);
    this.#readingAnew ??= (this.#refreshing?.then(list, list) ?? list()).finally(() => {
      this.#readingAnew = undefined;
    });
    return this.#readingAnew;
  }

  #where(condition: (key: Key) => boolean): Key[] {
    return [...this.#entries.values()].map((entry) => entry.key).filter(condition);
  }

  async #list(listing: string | undefined): Promise<void> {
    const startedAtMs = this.#now();
    const readAgain = [...this.#elsewhere];
    this.#elsewhere.clear();
    const known = listing === undefined ? undefined : { listing, readAgain };
    try {
      const listed = await withLimit(this.#lookupTimeoutMs, 'listing the token', (signal) =>
        this.#token.listKeys(known, signal),
      );
      await this.#takeListed(listed, startedAtMs);
    } catch (error) {
      for (const name of readAgain) this.#elsewhere.add(name);
      throw error;
    }
  }

  async #takeListed({ id, isWhole, keys, gone }: ListedKeys, readAtMs: number): Promise<void> {
    const names = new Set(keys.map((key) => key.name));
    const missing = isWhole ? [...this.#entries.keys()].filter((name) => !names.has(name)) : gone;
    for (const name of missing) this.#take(name, undefined, readAtMs);
    for (const [index, key] of keys.entries()) {
      this.#take(key.name, key, readAtMs);
      if ((index + 1) % KEYS_PER_TURN === 0) await nextTurn();
    }
    this.#listing = id;
  }

  #lookup(name: string): Promise<Key | undefined> {
    const running = this.#lookups.get(name);
    if (running !== undefined) return running;
    const lookup = this.#read(name).finally(() => this.#lookups.delete(name));
    this.#lookups.set(name, lookup);
    return lookup;
  }

  #confirmation(name: string): Promise<Key | undefined> {
    const waiting = this.#confirmations.get(name);
    if (waiting !== undefined) return waiting;
    const confirmation = this.#turns.take(name, async () => {
      const readAtMs = this.#entries.get(name)?.readAtMs ?? Number.NEGATIVE_INFINITY;
      await pause(Math.max(0, readAtMs + CONFIRM_INTERVAL_MS - this.#now()));
      // Who asks from now on may know of a change that this read does not see.
      this.#confirmations.delete(name);
      return await this.#read(name);
    });
    this.#confirmations.set(name, confirmation);
    return confirmation;
  }

  async #read(name: string): Promise<Key | undefined> {
    const startedAtMs = this.#now();
    const key = await withLimit(this.#lookupTimeoutMs, `looking for key ${name}`, (signal) =>
      this.#token.findKey(name, signal),
    );
    return this.#learn(name, key, startedAtMs);
  }

  /** As {@link #take}, of what was not listed: a listing that ran meanwhile may have seen it later. */
  #learn(name: string, key: Key | undefined, readAtMs: number): Key | undefined {
    const before = this.#entries.get(name);
    const known = this.#take(name, key, readAtMs);
    if (this.#entries.get(name) !== before) this.#elsewhere.add(name);
    return known;
  }

  /** Takes in what a read has found. @returns what counts now */
  #take(name: string, key: Key | undefined, readAtMs: number): Key | undefined {
    const known = this.#entries.get(name);
    if (known && known.readAtMs > readAtMs) return known.key;
    this.#entries.delete(name);
    if (!key) return undefined;
    const twice = ambiguousVersions(key);
    if (twice.length > 0) this.#onAmbiguous(key, twice);
    const unreadable = key.unreadableRecords ?? 0;
    if (unreadable > (known?.key.unreadableRecords ?? 0)) this.#onUnreadable?.(key, unreadable);
    this.#entries.set(name, { key, readAtMs });
    return key;
  }
}
