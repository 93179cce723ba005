import { milliseconds } from '../domain/duration.ts';
import type { TokenAttributes } from '../domain/key.ts';
import type { KeyState } from '../domain/key-state.ts';
import type { Key__Output } from '../generated/sigild/v1/Key.ts';
import type { KeyVersion__Output } from '../generated/sigild/v1/KeyVersion.ts';
import type { TokenAttributes__Output } from '../generated/sigild/v1/TokenAttributes.ts';
import { SigildError } from './sigild-error.ts';

/** A key and its versions. A newer daemon's algorithms and states are other texts than ours. */
export interface Key {
  readonly name: string;
  /** The algorithm of the newest version. */
  readonly algorithm: string;
  /** The version that signs when a call names none; undefined when no version is ACTIVE. */
  readonly primaryVersion: number | undefined;
  /** Newest first. */
  readonly versions: readonly KeyVersion[];
  /** How old the newest version gets before the daemon rotates the key; undefined where it does not. */
  readonly rotationPeriodMs: number | undefined;
  /**
   * When it does so. Undefined without a rotation period, and where another tool made the newest
   * version.
   */
  readonly nextRotationTime: Date | undefined;
  /** Whether any of its versions may ever be destroyed. */
  readonly destroyable: boolean;
}

export interface KeyVersion {
  /** From 1, rising. */
  readonly version: number;
  /** 32 hexadecimal digits that name this version for ever. */
  readonly id: string;
  readonly state: KeyState | (string & Record<never, never>);
  readonly algorithm: string;
  /** Undefined for a key that another tool made. */
  readonly createTime: Date | undefined;
  /** What the token reports of it; undefined where it does not. */
  readonly attributes: TokenAttributes;
  /** When the version will be destroyed, or was; undefined in other states. */
  readonly destroyTime: Date | undefined;
  /** Where its key comes from: `GENERATED` in the token or `IMPORTED`; undefined where it does not tell. */
  readonly origin: string | undefined;
}

/** @throws {SigildError} INTERNAL for an answer without the key */
export function decodeKey(key: Key__Output | undefined): Key {
  if (!key) throw new SigildError('INTERNAL', 'the daemon answered without the key');
  return {
    name: key.name ?? '',
    algorithm: text(key.algorithm),
    primaryVersion: key.primaryVersion || undefined,
    versions: key.versions.map(decodeVersion),
    rotationPeriodMs: key.rotationPeriod ? milliseconds(key.rotationPeriod) : undefined,
    nextRotationTime: key.nextRotationTime
      ? new Date(milliseconds(key.nextRotationTime))
      : undefined,
    destroyable: key.destroyable ?? true,
  };
}

function decodeVersion(version: KeyVersion__Output): KeyVersion {
  const { createTime, destroyTime } = version;
  return {
    version: version.version ?? 0,
    id: version.id ?? '',
    state: text(version.state),
    algorithm: text(version.algorithm),
    createTime: createTime ? new Date(milliseconds(createTime)) : undefined,
    attributes: decodeAttributes(version.attributes ?? {}),
    destroyTime: destroyTime ? new Date(milliseconds(destroyTime)) : undefined,
    origin: version.origin && String(version.origin),
  };
}

function decodeAttributes(attributes: TokenAttributes__Output): TokenAttributes {
  const { sensitive, extractable, alwaysSensitive, neverExtractable, local } = attributes;
  return { sensitive, extractable, alwaysSensitive, neverExtractable, local };
}

/** A value that the proto does not know arrives as a number. */
function text(value: string | number | undefined): string {
  return value === undefined ? 'UNSPECIFIED' : String(value);
}
