import type { Key } from '../domain/key.ts';
import { isSameStamp, type Stamp } from '../domain/key-record.ts';
import { withLimit } from './deadline.ts';
import type { KeyCatalog } from './key-catalog.ts';
import type { Token } from './ports.ts';

export interface LeftoverRecordsOptions {
  readonly catalog: Pick<KeyCatalog, 'withLeftovers'>;
  readonly token: Pick<Token, 'removeRecords'>;
  readonly onRemoved: (key: string, records: number) => void;
  /** Milliseconds that never go back. */
  readonly now?: () => number;
}

/**
 * Longer than any change of a record takes: until then what does not count may be a change that is
 * under way, or what it is made on top of.
 */
const MIN_AGE_MS = 900_000;

/** A look removes no more, so that it does not keep the token from changes that somebody waits for. */
const KEYS_PER_LOOK = 16;
const REMOVAL_LIMIT_MS = 60_000;

interface Leftovers {
  readonly stamps: readonly Stamp[];
  readonly sinceMs: number;
}

/** Removes copies of records that a crash has left behind, if no change of the record does so. */
export class LeftoverRecords {
  readonly #options: LeftoverRecordsOptions;
  readonly #now: () => number;
  /** By the key's name. */
  #seen: ReadonlyMap<string, Leftovers> = new Map();

  constructor(options: LeftoverRecordsOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** To be called when the token has been read. @throws {SigildError} as Token.removeRecords */
  async look(): Promise<void> {
    const nowMs = this.#now();
    const keys = this.#options.catalog.withLeftovers();
    this.#seen = new Map(keys.map((key) => [key.name, this.#leftovers(key, nowMs)]));
    const old = [...this.#seen].filter(([, { sinceMs }]) => nowMs - sinceMs >= MIN_AGE_MS);
    for (const [name, { stamps }] of old.slice(0, KEYS_PER_LOOK)) await this.#remove(name, stamps);
  }

  /** The time counts from when all of them were seen first. */
  #leftovers({ name, leftovers: stamps = [] }: Key, nowMs: number): Leftovers {
    const before = this.#seen.get(name);
    const areKnown = stamps.every((stamp) =>
      before?.stamps.some((known) => isSameStamp(known, stamp)),
    );
    return { stamps, sinceMs: before && areKnown ? before.sinceMs : nowMs };
  }

  async #remove(name: string, stamps: readonly Stamp[]): Promise<void> {
    const { token, onRemoved } = this.#options;
    await withLimit(REMOVAL_LIMIT_MS, `removing records of key ${name}`, (signal) =>
      token.removeRecords(name, stamps, signal),
    );
    onRemoved(name, stamps.length);
  }
}
