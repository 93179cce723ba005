import type { Algorithm } from '../domain/algorithm.ts';
import { fieldInvalid, SigildError } from '../domain/errors.ts';
import { IMPORT_KEY_LIFE_MS, MAX_IMPORT_KEYS } from '../domain/key-import.ts';

interface Entry {
  readonly client: string;
  readonly algorithm: Algorithm;
  readonly expireTimeMs: number;
}

/** How many import keys a client has at the most; a further one takes the place of its oldest. */
const MAX_PER_CLIENT = 4;

/** Whose the import keys are, and what for. */
export class ImportKeyRegister {
  readonly #now: () => number;
  /** By id, the oldest first. */
  readonly #entries = new Map<string, Entry>();

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** @returns when it expires, in milliseconds since 1970 */
  add(id: string, client: string, algorithm: Algorithm): number {
    const expireTimeMs = this.#now() + IMPORT_KEY_LIFE_MS;
    const ofClient = [...this.#entries].filter(([, entry]) => entry.client === client);
    if (ofClient.length >= MAX_PER_CLIENT) this.#drop(ofClient[0]?.[0]);
    if (this.#entries.size >= MAX_IMPORT_KEYS) this.#drop([...this.#entries.keys()][0]);
    this.#entries.set(id, { client, algorithm, expireTimeMs });
    return expireTimeMs;
  }

  /**
   * Takes a client's import key out: it serves one import.
   *
   * @throws {SigildError} IMPORT_KEY_NOT_FOUND; FIELD_INVALID for another algorithm, after which it is
   *   still there
   */
  take(id: string, client: string, algorithm: Algorithm): void {
    this.check(id, client, algorithm);
    this.#entries.delete(id);
  }

  /** As {@link take}, but leaves it there. */
  check(id: string, client: string, algorithm: Algorithm): void {
    const entry = this.#entries.get(id);
    if (entry?.client !== client || entry.expireTimeMs <= this.#now()) {
      throw new SigildError(
        'IMPORT_KEY_NOT_FOUND',
        'the import key has expired, was used before, is not one of this client, or another daemon ' +
          'made it; get a new one with GetImportKey',
      );
    }
    if (entry.algorithm !== algorithm) {
      throw fieldInvalid('algorithm', `the import key was made for ${entry.algorithm}`);
    }
  }

  #drop(id: string | undefined): void {
    if (id !== undefined) this.#entries.delete(id);
  }
}
