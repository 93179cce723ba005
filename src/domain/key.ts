import type { Algorithm } from './algorithm.ts';
import { fieldInvalid, SigildError } from './errors.ts';
import {
  countingRecord,
  DEFAULT_SETTINGS,
  type KeySettings,
  type Stamp,
  type StampedRecord,
  settingsRecordOf,
  subjectName,
  type VersionRecord,
} from './key-record.ts';
import { type KeyState, maySign, mayVerify, nextStates } from './key-state.ts';
import { recordedVersions } from './recorded-versions.ts';

/** What the token reports of a version; undefined where it does not report the attribute. */
export interface TokenAttributes {
  readonly sensitive: boolean | undefined;
  readonly extractable: boolean | undefined;
  readonly alwaysSensitive: boolean | undefined;
  readonly neverExtractable: boolean | undefined;
  readonly local: boolean | undefined;
}

/** Names one version of a key. */
export interface VersionRef {
  /** The key's name. */
  readonly key: string;
  /** 32 lower-case hexadecimal digits that name this version for ever. */
  readonly id: string;
}

/** A version's name in maps: keys that other tools made may share an id. */
export function versionName({ key, id }: VersionRef): string {
  return `${key}/${id}`;
}

/** One object on the token. */
export interface KeyVersion extends VersionRef {
  /** From 1, rising. */
  readonly version: number;
  readonly algorithm: Algorithm;
  readonly state: KeyState;
  /** Milliseconds since 1970; undefined for a key that another tool made. */
  readonly createTimeMs: number | undefined;
  readonly attributes: TokenAttributes;
  /** False where the token says that it may not be destroyed. */
  readonly isDestroyable?: boolean | undefined;
  /** What the token keeps of its destruction: that it is scheduled, was taken back or is done. */
  readonly destruction?: VersionRecord | undefined;
  /**
   * Whether the token holds more of it than its state allows: the usage of one whose destruction is
   * scheduled, the object of one that is DESTROYED.
   */
  readonly isUnfinished?: boolean | undefined;
}

/** A name and the versions that stand on the token under it, or did before they were destroyed. */
export interface Key {
  readonly name: string;
  /** At least one, newest first. Two with one version number are a conflict: see {@link versionOf}. */
  readonly versions: readonly KeyVersion[];
  readonly settings: KeySettings;
  /** Of records under its name that do not count, or do not yet; absent when there are none. */
  readonly leftovers?: readonly Stamp[];
  /** How many objects say that they are records of it but cannot be understood; absent for none. */
  readonly unreadableRecords?: number;
}

const KEY_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

export function isKeyName(name: string): boolean {
  return KEY_NAME.test(name);
}

/**
 * @returns the name
 * @throws {SigildError} FIELD_INVALID, naming `field`
 */
export function parseKeyName(name: string, field: string): string {
  if (isKeyName(name)) return name;
  throw fieldInvalid(
    field,
    'a key name has 1 to 63 characters of [A-Za-z0-9._-], the first a letter or a digit',
  );
}

/**
 * Makes keys of what stands on the token: groups versions by name and sorts each group newest first;
 * keys come in byte order of their names. Of records alone those make a key that tell of a destruction.
 */
export function groupByName(
  versions: readonly KeyVersion[],
  records: readonly StampedRecord[] = [],
): Key[] {
  const copies = groupBy(records, ({ record }) => record.key);
  return [...groupBy(recordedVersions(versions, records), ({ key }) => key)]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, group]) => keyOf(name, group, copies.get(name) ?? []));
}

function keyOf(name: string, versions: KeyVersion[], copies: readonly StampedRecord[]): Key {
  versions.sort((a, b) => b.version - a.version);
  if (copies.length === 0) return { name, versions, settings: DEFAULT_SETTINGS };
  const counting = [...groupBy(copies, ({ record }) => subjectName(record)).values()]
    .map(countingRecord)
    .filter((record) => record !== undefined);
  const own = settingsRecordOf(versions, counting);
  const settings = own?.record.kind === 'settings' ? own.record.settings : DEFAULT_SETTINGS;
  const leftovers = copies
    .filter(({ record }) => record !== own?.record)
    .filter(({ record }) => versions.every(({ destruction }) => destruction !== record))
    .map(({ stamp }) => stamp);
  return { name, versions, settings, ...(leftovers.length > 0 && { leftovers }) };
}

function groupBy<Item>(items: readonly Item[], nameOf: (item: Item) => string) {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(nameOf(item));
    if (group) group.push(item);
    else groups.set(nameOf(item), [item]);
  }
  return groups;
}

/** Whether the token holds more of a version than a record. */
export function isPresent({ state, isUnfinished }: KeyVersion): boolean {
  return state !== 'DESTROYED' || isUnfinished === true;
}

/** Whether nothing but records of destroyed versions is left of a key. */
export function isDestroyed(key: Key): boolean {
  return key.versions.every(({ state }) => state === 'DESTROYED');
}

/** The highest ACTIVE version: the one that signs when a request names none. */
export function primaryOf(key: Key): KeyVersion | undefined {
  return key.versions.find((version) => maySign(version.state));
}

/**
 * @throws {SigildError} KEY_VERSION_NOT_FOUND; KEY_AMBIGUOUS when two objects claim that version
 */
export function versionOf(key: Key, version: number): KeyVersion {
  const claims = key.versions.filter((candidate) => candidate.version === version);
  const [only] = claims;
  if (!only) {
    throw new SigildError(
      'KEY_VERSION_NOT_FOUND',
      `key ${key.name} has no version ${version}; its newest is ${key.versions[0]?.version}`,
    );
  }
  if (claims.length > 1) throw ambiguous(key, version);
  return only;
}

/**
 * Whether a version may be given a state; the one that it has may always be given again.
 *
 * @throws {SigildError} KEY_STATE_FORBIDS, naming the states that are allowed
 */
export function assertMayBecome(version: KeyVersion, state: KeyState): void {
  const allowed = nextStatesOf(version);
  if (state === version.state || allowed.includes(state)) return;
  const past = wasDeactivated(version) ? ', was DEACTIVATED before' : '';
  throw new SigildError(
    'KEY_STATE_FORBIDS',
    `version ${version.version} of key ${version.key} is ${version.state}${past} and may not ` +
      `become ${state}; allowed: ${allowed.join(', ') || 'none'}`,
  );
}

/** What is left of the transitions for a version that must not sign again. */
function nextStatesOf(version: KeyVersion): readonly KeyState[] {
  const next = nextStates(version.state);
  return wasDeactivated(version) ? next.filter((state) => !maySign(state)) : next;
}

/** Whether a version is SUSPENDED that was DEACTIVATED when its destruction was scheduled. */
function wasDeactivated({ state, destruction }: KeyVersion): boolean {
  return state === 'SUSPENDED' && destruction?.deactivated === true;
}

/** @throws {SigildError} KEY_AMBIGUOUS when two objects claim one version */
export function assertUnambiguous(key: Key): void {
  const [twice] = ambiguousVersions(key);
  if (twice !== undefined) throw ambiguous(key, twice);
}

/** The version numbers that more than one object claims. */
export function ambiguousVersions(key: Key): number[] {
  const numbers = key.versions.map((version) => version.version);
  return [...new Set(numbers.filter((number, index) => number === numbers[index - 1]))];
}

/**
 * The version that signs: the requested one, else the primary.
 *
 * @throws {SigildError} KEY_VERSION_NOT_FOUND, KEY_AMBIGUOUS, KEY_STATE_FORBIDS
 */
export function signingVersion(key: Key, requested: number | undefined): KeyVersion {
  const primary = requested ?? primaryOf(key)?.version;
  if (primary === undefined) {
    throw new SigildError(
      'KEY_STATE_FORBIDS',
      isDestroyed(key)
        ? `every version of key ${key.name} is DESTROYED`
        : `no version of key ${key.name} is ACTIVE; activate one or create a new key`,
    );
  }
  const version = versionOf(key, primary);
  if (!maySign(version.state)) throw stateForbids(version, 'sign');
  return version;
}

/**
 * The versions that a signature is checked against, newest first: the requested one, else all that
 * may verify.
 *
 * @throws {SigildError} KEY_VERSION_NOT_FOUND, KEY_AMBIGUOUS, KEY_STATE_FORBIDS
 */
export function verifyingVersions(key: Key, requested: number | undefined): readonly KeyVersion[] {
  if (requested !== undefined) {
    const version = versionOf(key, requested);
    if (!mayVerify(version.state)) throw stateForbids(version, 'verify');
    return [version];
  }
  assertUnambiguous(key);
  const candidates = key.versions.filter((version) => mayVerify(version.state));
  if (candidates.length === 0) {
    throw new SigildError(
      'KEY_STATE_FORBIDS',
      isDestroyed(key)
        ? `every version of key ${key.name} is DESTROYED`
        : `no version of key ${key.name} may verify; activate one`,
    );
  }
  return candidates;
}

function ambiguous(key: Key, version: number): SigildError {
  return new SigildError(
    'KEY_AMBIGUOUS',
    `more than one object on the token claims version ${version} of key ${key.name}; ` +
      'remove or relabel all but one (the log names their ids)',
  );
}

function stateForbids(version: KeyVersion, operation: 'sign' | 'verify'): SigildError {
  return new SigildError(
    'KEY_STATE_FORBIDS',
    `version ${version.version} of key ${version.key} is ${version.state} and may not ${operation}`,
  );
}
