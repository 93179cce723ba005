import { type Algorithm, isAlgorithm } from './algorithm.ts';
import type { KeyVersion, VersionRef } from './key.ts';
import { MAX_VERSION } from './version-id.ts';

/** How a key is treated; a key without a record of settings has {@link DEFAULT_SETTINGS}. */
export interface KeySettings {
  /** How old its newest version gets before the daemon rotates it; undefined: it never does. */
  readonly rotationPeriodMs: number | undefined;
  /** False: sigild never destroys any of its versions. */
  readonly destroyable: boolean;
}

export const DEFAULT_SETTINGS: KeySettings = { rotationPeriodMs: undefined, destroyable: true };

/**
 * The settings of the key that began with this version.
 *
 * They are written before that version is made, so they count only for a key that began with it, and
 * not for one of the same name that another creation has made.
 */
export interface SettingsRecord extends VersionRef {
  readonly kind: 'settings';
  readonly version: number;
  readonly settings: KeySettings;
}

/** The states that a version's usage on the token cannot tell. */
const RECORDED_STATES = ['DESTROY_SCHEDULED', 'DESTROYED', 'RESTORED'] as const;

export type RecordedState = (typeof RECORDED_STATES)[number];

/** What is known of a version that its object cannot tell, or that has no object any more. */
export interface VersionRecord extends VersionRef {
  readonly kind: 'version';
  readonly version: number;
  readonly algorithm: Algorithm;
  readonly state: RecordedState;
  /** When it is to be destroyed, or was; milliseconds since 1970. */
  readonly destroyTimeMs: number;
  /** Whether it was DEACTIVATED before, so that it never becomes ACTIVE again. */
  readonly deactivated: boolean;
  /** As that of the version. */
  readonly createTimeMs: number | undefined;
}

/** What sigild keeps on the token beside keys. One record counts for each kind and version id. */
export type KeyRecord = SettingsRecord | VersionRecord;

export type RecordSubject = Pick<KeyRecord, 'kind' | 'key' | 'id'>;

/** Tells the copies of one record apart: it is replaced, never edited. */
export interface Stamp {
  /** From 1, rising. */
  readonly revision: number;
  /** 16 hexadecimal digits, random. */
  readonly nonce: string;
}

/** A record as it stands on the token. */
export interface StampedRecord {
  readonly record: KeyRecord;
  readonly stamp: Stamp;
}

/** More bytes than any record has. */
export const MAX_RECORD_BYTES = 1_024;

const MAX_REVISION = 2 ** 40;
const LATEST_MS = Date.UTC(2200, 0, 1);

/** A record's name in maps. */
export function subjectName({ kind, key, id }: RecordSubject): string {
  return `${kind}/${key}/${id}`;
}

export function isSameStamp(one: Stamp, other: Stamp): boolean {
  return one.revision === other.revision && one.nonce === other.nonce;
}

/**
 * The one of several copies of a record that counts, the same for whoever reads them: that of the
 * highest revision, and of these the one with the lowest nonce.
 *
 * Of one revision a destruction counts last: it cannot be undone, and where its daemon ended before it
 * looked for rivals, another daemon may have acknowledged a restoration.
 */
export function countingRecord(copies: readonly StampedRecord[]): StampedRecord | undefined {
  return copies.toSorted(
    ({ stamp: a, record: one }, { stamp: b, record: other }) =>
      b.revision - a.revision ||
      Number(isDestruction(one)) - Number(isDestruction(other)) ||
      (a.nonce < b.nonce ? -1 : 1),
  )[0];
}

/** Whether a record says that a version is destroyed. */
export function isDestruction(record: KeyRecord): boolean {
  return record.kind === 'version' && record.state === 'DESTROYED';
}

/**
 * The settings that count for a key: those of the version that it began with. Where another version
 * has that one's number, they are of a creation that came to nothing.
 *
 * @param versions at least one, all of one key
 * @param records those that count
 */
export function settingsRecordOf(
  versions: readonly Pick<KeyVersion, 'id' | 'version'>[],
  records: readonly StampedRecord[],
): StampedRecord | undefined {
  const newest = Math.max(...versions.map(({ version }) => version));
  return records
    .filter(({ record }) => {
      if (record.kind !== 'settings' || record.version > newest) return false;
      const claims = versions.filter(({ version }) => version === record.version);
      return claims.length === 0 || claims.some(({ id }) => id === record.id);
    })
    .toSorted(({ record: a }, { record: b }) => b.version - a.version || (a.id < b.id ? -1 : 1))[0];
}

/** The text that stands on the token for a record of a key. */
export function encodeRecord({ record, stamp }: StampedRecord): string {
  const { key: _, ...fields } = record;
  return JSON.stringify({ ...fields, ...stamp });
}

/**
 * Reads what {@link encodeRecord} has written.
 *
 * @returns undefined for anything else, also for what a newer sigild may have written
 */
export function decodeRecord(key: string, text: string): StampedRecord | undefined {
  const fields = parseObject(text);
  if (!fields) return undefined;
  const { revision, nonce, ...rest } = fields;
  if (!isInteger(revision, 1, MAX_REVISION) || !isHex(nonce, 16)) return undefined;
  const record = settingsRecord(key, rest) ?? versionRecord(key, rest);
  return record && { record, stamp: { revision, nonce } };
}

type Fields = Readonly<Record<string, unknown>>;

function parseObject(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function settingsRecord(key: string, fields: Fields): SettingsRecord | undefined {
  const { kind, id, version, settings, ...unknown } = fields;
  if (kind !== 'settings' || hasFields(unknown) || !isVersion(id, version)) return undefined;
  if (!isObject(settings)) return undefined;
  const { rotationPeriodMs, destroyable, ...more } = settings;
  if (typeof destroyable !== 'boolean' || hasFields(more)) return undefined;
  if (!isAbsentOr(rotationPeriodMs, (value) => isInteger(value, 1, LATEST_MS))) return undefined;
  const read = { rotationPeriodMs: rotationPeriodMs as number | undefined, destroyable };
  return { kind, key, id: id as string, version: version as number, settings: read };
}

function versionRecord(key: string, fields: Fields): VersionRecord | undefined {
  const { kind, id, version, algorithm, state, deactivated, ...times } = fields;
  const { destroyTimeMs, createTimeMs, ...unknown } = times;
  if (kind !== 'version' || hasFields(unknown) || !isVersion(id, version)) return undefined;
  if (typeof algorithm !== 'string' || !isAlgorithm(algorithm)) return undefined;
  if (!isRecordedState(state) || typeof deactivated !== 'boolean') return undefined;
  if (!isTime(destroyTimeMs) || !isAbsentOr(createTimeMs, isTime)) return undefined;
  return {
    ...{ kind, key, id: id as string, version: version as number, algorithm, state, deactivated },
    ...{ destroyTimeMs, createTimeMs: createTimeMs as number | undefined },
  };
}

function isVersion(id: unknown, version: unknown): boolean {
  return isHex(id, 32) && isInteger(version, 1, MAX_VERSION);
}

function isRecordedState(state: unknown): state is RecordedState {
  return RECORDED_STATES.some((known) => known === state);
}

function isTime(value: unknown): value is number {
  return isInteger(value, 0, LATEST_MS);
}

function isInteger(value: unknown, min: number, max: number): value is number {
  return Number.isInteger(value) && Number(value) >= min && Number(value) <= max;
}

function isHex(value: unknown, digits: number): value is string {
  return typeof value === 'string' && value.length === digits && /^[0-9a-f]*$/.test(value);
}

function isAbsentOr(value: unknown, allows: (value: unknown) => boolean): boolean {
  return value === undefined || allows(value);
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function hasFields(value: Fields): boolean {
  return Object.keys(value).length > 0;
}
