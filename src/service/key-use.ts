import type { Cancellation } from '../domain/cancellation.ts';
import { type ErrorReason, SigildError } from '../domain/errors.ts';
import type { Key } from '../domain/key.ts';
import { keyNotFound } from './access-policy.ts';
import type { KeyCatalog } from './key-catalog.ts';

/** How old an entry may be before an operation that its state forbids looks at the token again. */
const STATE_MAX_AGE_MS = 1_000;

/**
 * Reasons for which what is known of a key allows no operation, where a change behind the daemon's
 * back may have made it out of date, and the age from which to look again.
 */
const STALE_AFTER_MS: Partial<Record<ErrorReason, number>> = {
  KEY_NOT_FOUND: 0,
  KEY_VERSION_NOT_FOUND: 0,
  KEY_STATE_FORBIDS: STATE_MAX_AGE_MS,
  KEY_AMBIGUOUS: 0,
};

/** How often a call looks at the token: what it finds may change before it is used. */
const MAX_LOOKS = 2;

/** Uses keys by what is known of them, and by what the token says where that does not do. */
export class KeyUse {
  readonly #catalog: KeyCatalog;

  constructor(catalog: KeyCatalog) {
    this.#catalog = catalog;
  }

  /**
   * Uses the versions that a choice among those of a key gives, and chooses again from what the token
   * says now where that may help.
   *
   * @throws {SigildError} KEY_NOT_FOUND, as {@link KeyCatalog.find}, and what both functions throw
   */
  async use<Choice, Result>(
    name: string,
    signal: Cancellation,
    choose: (key: Key) => Choice,
    use: (choice: Choice) => Promise<Result>,
  ): Promise<Result> {
    const known = this.#catalog.peek(name);
    let key = known ?? (await this.#find(name, signal));
    let outcome = await attempt(key, choose, use);
    for (let looks = known ? 0 : 1; 'error' in outcome; looks += 1) {
      const maxAgeMs = worthALook(outcome, looks);
      if (maxAgeMs === undefined) throw outcome.error;
      const found = await this.#find(name, signal, maxAgeMs);
      if (found === key) throw outcome.error;
      key = found;
      outcome = await attempt(key, choose, use);
    }
    return outcome.result;
  }

  async #find(name: string, signal: Cancellation, maxAgeMs?: number): Promise<Key> {
    const key = await this.#catalog.find(name, signal, maxAgeMs);
    if (!key) throw keyNotFound(name);
    return key;
  }
}

interface Failure {
  readonly error: unknown;
  /** Whether the token refused what the key's versions and their states allow. */
  readonly isRefused: boolean;
}

async function attempt<Choice, Result>(
  key: Key,
  choose: (key: Key) => Choice,
  use: (choice: Choice) => Promise<Result>,
): Promise<{ readonly result: Result } | Failure> {
  let isRefused = false;
  try {
    const choice = choose(key);
    isRefused = true;
    return { result: await use(choice) };
  } catch (error) {
    return { error, isRefused };
  }
}

/** @returns how old what is known may be for another try; undefined when that would not help */
function worthALook({ error, isRefused }: Failure, looks: number): number | undefined {
  const staleMs = error instanceof SigildError ? STALE_AFTER_MS[error.reason] : undefined;
  if (staleMs === undefined) return undefined;
  // What the token refuses has changed since the key was read, however short ago that was.
  if (isRefused) return looks < MAX_LOOKS ? 0 : undefined;
  return looks === 0 ? staleMs : undefined;
}
