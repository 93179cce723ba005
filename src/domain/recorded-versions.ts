import type { KeyVersion } from './key.ts';
import {
  countingRecord,
  isDestruction,
  type StampedRecord,
  subjectName,
  type VersionRecord,
} from './key-record.ts';

/** Of a version that is no object, or not any more, the token reports nothing. */
export const NOT_REPORTED = {
  sensitive: undefined,
  extractable: undefined,
  alwaysSensitive: undefined,
  neverExtractable: undefined,
  local: undefined,
} as const;

/**
 * Versions as the objects and the records on the token tell of them together. What a record says
 * counts, whatever the object would let be done: when a daemon ends in the middle of a change, every
 * daemon takes the version for the same.
 *
 * @param copies of records of whatever kind, in any order, also several of one version
 */
export function recordedVersions(
  versions: readonly KeyVersion[],
  copies: readonly StampedRecord[],
): readonly KeyVersion[] {
  const groups = new Map<string, StampedRecord[]>();
  for (const copy of copies) {
    if (copy.record.kind !== 'version') continue;
    const name = subjectName(copy.record);
    groups.set(name, [...(groups.get(name) ?? []), copy]);
  }
  if (groups.size === 0) return versions;
  const present = versions.map((version) => withRecord(version, groups.get(nameOf(version))));
  for (const version of versions) groups.delete(nameOf(version));
  return [...present, ...[...groups.values()].flatMap((group) => withoutObject(group) ?? [])];
}

/** The name of a version's record in maps. */
function nameOf({ key, id }: KeyVersion): string {
  return subjectName({ kind: 'version', key, id });
}

function withRecord(version: KeyVersion, copies: readonly StampedRecord[] = []): KeyVersion {
  const destruction = versionRecord(copies);
  switch (destruction?.state) {
    case undefined:
      return version;
    case 'RESTORED':
      return { ...version, destruction };
    case 'DESTROY_SCHEDULED': {
      const isUnfinished = version.state !== 'SUSPENDED';
      return { ...version, state: 'DESTROY_SCHEDULED', destruction, isUnfinished };
    }
    case 'DESTROYED':
      return { ...recordAlone(destruction), isUnfinished: true };
  }
}

/** @returns undefined for a version of which nothing is left that a key could need */
function withoutObject(copies: readonly StampedRecord[]): KeyVersion | undefined {
  // Without the object it has been destroyed, whatever was written at the same time.
  const ends = copies.filter(({ record }) => isDestruction(record));
  const destruction = versionRecord(ends) ?? versionRecord(copies);
  // One that is scheduled has been destroyed by another program, and is recorded so at its time.
  if (!destruction || destruction.state === 'RESTORED') return undefined;
  return recordAlone(destruction);
}

/** A version of which nothing but its record counts. */
function recordAlone(destruction: VersionRecord): KeyVersion {
  const { key, id, version, algorithm, createTimeMs } = destruction;
  const state = destruction.state === 'DESTROYED' ? 'DESTROYED' : 'DESTROY_SCHEDULED';
  const attributes = NOT_REPORTED;
  return { key, id, version, algorithm, createTimeMs, state, attributes, destruction };
}

function versionRecord(copies: readonly StampedRecord[]): VersionRecord | undefined {
  const record = countingRecord(copies)?.record;
  return record?.kind === 'version' ? record : undefined;
}
