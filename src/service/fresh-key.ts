import type { Cancellation } from '../domain/cancellation.ts';
import { type ErrorReason, SigildError } from '../domain/errors.ts';
import { ambiguousVersions, type Key } from '../domain/key.ts';
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

/**
 * How long a call waits for a version to be no longer ambiguous: it is so for a moment while two
 * daemons make it, see settle-creation.ts. The moment is as long as a busy token makes it; an object
 * that is older than that is not about to give way, unless the daemons' clocks differ.
 */
const SETTLING_LIMIT_MS = 5_000;
const AMBIGUITY_LIMIT_MS = 500;

interface Failure {
  readonly error: unknown;
  /** Whether the token refused what the key's versions and their states allow. */
  readonly isRefused: boolean;
}

/** How a call has tried so far. */
interface Tries {
  /** How often it has looked at the token. */
  looks: number;
  /** Undefined until it has failed. */
  ambiguousUntilMs: number | undefined;
}

/**
 * Uses the versions that a choice among those of a key gives, and chooses again from what the token
 * says now where that may help.
 *
 * @throws {SigildError} KEY_NOT_FOUND; what the choice and its use throw
 */
export async function withFreshKey<Choice, Result>(
  catalog: KeyCatalog,
  name: string,
  signal: Cancellation,
  choose: (key: Key) => Choice,
  use: (choice: Choice) => Promise<Result>,
): Promise<Result> {
  const known = catalog.peek(name);
  const tries: Tries = { looks: known ? 0 : 1, ambiguousUntilMs: undefined };
  let key = known ?? (await find(catalog, name, signal));
  let outcome = await attempt(key, choose, use);
  while ('error' in outcome) {
    const found = await lookAgain(catalog, key, signal, outcome, tries);
    if (!found || (found === key && !mayHaveChanged(outcome))) throw outcome.error;
    key = found;
    outcome = await attempt(key, choose, use);
  }
  return outcome.result;
}

/** @returns what the token says now; undefined when that would not help */
async function lookAgain(
  catalog: KeyCatalog,
  key: Key,
  signal: Cancellation,
  failure: Failure,
  tries: Tries,
): Promise<Key | undefined> {
  const maxAgeMs = worthALook(failure, tries.looks);
  tries.looks += 1;
  if (maxAgeMs !== undefined) return await find(catalog, key.name, signal, maxAgeMs);
  tries.ambiguousUntilMs ??= performance.now() + ambiguityLimitMs(key);
  const mayPass = isAmbiguous(failure) && performance.now() < tries.ambiguousUntilMs;
  return mayPass ? await catalog.confirm(key.name, signal) : undefined;
}

async function find(
  catalog: KeyCatalog,
  name: string,
  signal: Cancellation,
  maxAgeMs?: number,
): Promise<Key> {
  const key = await catalog.find(name, signal, maxAgeMs);
  if (!key) throw keyNotFound(name);
  return key;
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

/** Whether a key that was read before the failure says too little, though nothing newer is known. */
function mayHaveChanged(failure: Failure): boolean {
  return failure.isRefused || isAmbiguous(failure);
}

function isAmbiguous({ error }: Failure): boolean {
  return error instanceof SigildError && error.reason === 'KEY_AMBIGUOUS';
}

function ambiguityLimitMs(key: Key): number {
  const twice = ambiguousVersions(key);
  const madeAtMs = key.versions
    .filter(({ version }) => twice.includes(version))
    .map(({ createTimeMs }) => createTimeMs ?? 0);
  const ageMs = Math.max(0, Date.now() - Math.max(...madeAtMs));
  return Math.max(AMBIGUITY_LIMIT_MS, SETTLING_LIMIT_MS - ageMs);
}

/** @returns how old what is known may be for another try; undefined when that would not help */
function worthALook({ error, isRefused }: Failure, looks: number): number | undefined {
  const staleMs = error instanceof SigildError ? STALE_AFTER_MS[error.reason] : undefined;
  if (staleMs === undefined) return undefined;
  // What the token refuses has changed since the key was read, however short ago that was.
  if (isRefused) return looks < MAX_LOOKS ? 0 : undefined;
  return looks === 0 ? staleMs : undefined;
}
