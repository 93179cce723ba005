import {
  durationText,
  milliseconds,
  roughDurationText,
  type SecondsAndNanos,
} from '../domain/duration.ts';
import type { Key__Output } from '../generated/sigild/v1/Key.ts';
import type { KeyVersion__Output } from '../generated/sigild/v1/KeyVersion.ts';
import type { TokenAttributes__Output } from '../generated/sigild/v1/TokenAttributes.ts';
import { CommandFailure } from './command-failure.ts';
import { columns, fields, yesNo } from './layout.ts';

/** `key create -o json`, `key show -o json` and an item of `key list -o json`. */
export interface KeyDocument {
  readonly name: string;
  readonly algorithm: string;
  /** 0 when no version is ACTIVE. */
  readonly primaryVersion: number;
  /** Newest first. */
  readonly versions: readonly KeyVersionDocument[];
  /** Milliseconds; absent where the daemon does not rotate the key by itself. */
  readonly rotationPeriodMs: number | undefined;
  /** ISO 8601, in UTC; absent without a rotation period. */
  readonly nextRotationTime: string | undefined;
  readonly destroyable: boolean;
}

interface KeyVersionDocument {
  readonly version: number;
  /** 32 hexadecimal digits. */
  readonly id: string;
  readonly state: string;
  readonly algorithm: string;
  /** ISO 8601, in UTC; absent for a key that another tool made. */
  readonly createTime: string | undefined;
  /** ISO 8601, in UTC: when it will be destroyed, or was; absent in other states. */
  readonly destroyTime: string | undefined;
  /** What the token reports; the rest is absent. */
  readonly attributes: TokenAttributesDocument;
  /** GENERATED or IMPORTED; absent where the token does not report it. */
  readonly origin: string | undefined;
}

interface TokenAttributesDocument {
  readonly sensitive: boolean | undefined;
  readonly extractable: boolean | undefined;
  readonly alwaysSensitive: boolean | undefined;
  readonly neverExtractable: boolean | undefined;
  readonly local: boolean | undefined;
}

const ABSENT = '-';

/** The table's words for a version's attributes. */
const ATTRIBUTES = {
  sensitive: 'sensitive',
  extractable: 'extractable',
  alwaysSensitive: 'always sensitive',
  neverExtractable: 'never extractable',
  local: 'local',
} as const satisfies Record<keyof TokenAttributesDocument, string>;

/** @throws {CommandFailure} INTERNAL for an answer without the key */
export function keyDocument(key: Key__Output | undefined): KeyDocument {
  if (!key) throw new CommandFailure('INTERNAL', 'the daemon answered without the key');
  return {
    name: key.name ?? '',
    algorithm: enumText(key.algorithm),
    primaryVersion: key.primaryVersion ?? 0,
    versions: key.versions.map(versionDocument),
    rotationPeriodMs: key.rotationPeriod ? milliseconds(key.rotationPeriod) : undefined,
    nextRotationTime: key.nextRotationTime ? isoTime(key.nextRotationTime) : undefined,
    destroyable: key.destroyable ?? true,
  };
}

function versionDocument(version: KeyVersion__Output): KeyVersionDocument {
  const { createTime, destroyTime } = version;
  return {
    version: version.version ?? 0,
    id: version.id ?? '',
    state: enumText(version.state),
    algorithm: enumText(version.algorithm),
    createTime: createTime ? isoTime(createTime) : undefined,
    destroyTime: destroyTime ? isoTime(destroyTime) : undefined,
    attributes: attributesDocument(version.attributes ?? {}),
    origin: version.origin && enumText(version.origin),
  };
}

function attributesDocument(attributes: TokenAttributes__Output): TokenAttributesDocument {
  const { sensitive, extractable, alwaysSensitive, neverExtractable, local } = attributes;
  return { sensitive, extractable, alwaysSensitive, neverExtractable, local };
}

/** A newer daemon's value arrives as a number. */
export function enumText(value: string | number | undefined): string {
  return value === undefined ? 'UNSPECIFIED' : String(value);
}

function isoTime(timestamp: Partial<SecondsAndNanos>): string | undefined {
  const time = new Date(milliseconds(timestamp));
  return Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}

/** STATE and AGE are those of the newest version. */
export function keyListText(keys: readonly KeyDocument[], nowMs: number): string {
  return columns(
    ['NAME', 'ALGORITHM', 'PRIMARY', 'VERSIONS', 'STATE', 'AGE', 'NEXT ROTATION'],
    keys.map((key) => [
      key.name,
      key.algorithm,
      primaryText(key),
      String(key.versions.length),
      key.versions[0]?.state ?? ABSENT,
      ageText(key.versions[0]?.createTime, nowMs),
      key.nextRotationTime ?? ABSENT,
    ]),
  );
}

export function keyText(key: KeyDocument): string {
  const head = fields({
    name: key.name,
    algorithm: key.algorithm,
    'primary version': primaryText(key),
    'rotation period': periodText(key),
    'next rotation': key.nextRotationTime ?? ABSENT,
    destroyable: yesNo(key.destroyable),
  });
  const isDestruction = key.versions.some(({ destroyTime }) => destroyTime !== undefined);
  const destroyTime = (text: string) => (isDestruction ? [text] : []);
  const versions = columns(
    [
      'VERSION',
      'STATE',
      ...destroyTime('DESTROY TIME'),
      'ALGORITHM',
      'CREATED',
      'ORIGIN',
      'ID',
      'ATTRIBUTES',
    ],
    key.versions.map((version) => [
      String(version.version),
      version.state,
      ...destroyTime(version.destroyTime ?? ABSENT),
      version.algorithm,
      version.createTime ?? ABSENT,
      version.origin ?? ABSENT,
      version.id,
      attributesText(version.attributes),
    ]),
  );
  return `${head}\n${versions}`;
}

function periodText({ rotationPeriodMs }: KeyDocument): string {
  return rotationPeriodMs === undefined ? ABSENT : durationText(rotationPeriodMs);
}

/** A clock that is behind the daemon's makes no key younger than new. */
function ageText(createTime: string | undefined, nowMs: number): string {
  if (createTime === undefined) return ABSENT;
  return roughDurationText(Math.max(0, nowMs - Date.parse(createTime)));
}

function primaryText({ primaryVersion }: KeyDocument): string {
  return primaryVersion === 0 ? ABSENT : String(primaryVersion);
}

function attributesText(attributes: TokenAttributesDocument): string {
  const words = Object.entries(ATTRIBUTES).flatMap(([name, word]) => {
    const value = attributes[name as keyof TokenAttributesDocument];
    if (value === undefined) return [];
    return value ? [word] : [`not ${word}`];
  });
  return words.join(', ') || ABSENT;
}
