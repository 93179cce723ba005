import {
  ERROR_REASONS,
  type ErrorReason,
  type FieldViolation,
  SigildError,
} from '../domain/errors.ts';
import type { Proven } from '../domain/fingerprint.ts';
import type { Key, VersionRef } from '../domain/key.ts';
import type { ImportKey, WrappedKey } from '../domain/key-import.ts';
import type { Stamp } from '../domain/key-record.ts';
import type { UsageState } from '../domain/key-state.ts';
import type { NewKey } from '../service/token-values.ts';
import { encodeFrame } from './frames.ts';

/** What the front can ask of a session lane: the codes of request frames. */
export const OPERATION = {
  sign: 1,
  verify: 2,
  findKey: 3,
  listKeys: 4,
  createKey: 5,
  destroyVersion: 6,
  probe: 7,
  createVersion: 8,
  setVersionState: 9,
  forgetVersion: 10,
  describe: 11,
  findRecords: 12,
  createRecord: 13,
  removeRecords: 14,
  makeImportKey: 15,
  check: 16,
  signDigests: 20,
  verifyDigests: 21,
  publicKeys: 22,
  openStream: 40,
  updateStream: 41,
  finishStream: 42,
  abandonStream: 43,
  signAgreed: 50,
  verifyAgreed: 51,
  auditKey: 60,
  auditMac: 61,
  findAuditHead: 62,
  keepAuditHead: 63,
} as const;

/** The codes of answer frames. After `lost` the whole host is of no use any more. */
export const OUTCOME = { done: 0, failed: 1, lost: 2 } as const;

/** Rare operations travel as JSON. */
export function encodeJson(code: number, value: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(value ?? null));
  return encodeFrame(code, json.byteLength, (payload) => payload.set(json));
}

/** What {@link encodeJson} has written: both ends are one build. @returns undefined for null */
export function decodeJson<Value>(payload: Buffer): Value {
  return (JSON.parse(payload.toString('utf8')) ?? undefined) as Value;
}

/** An operation that needs no payload. */
export function encodeEmpty(code: number): Buffer {
  return encodeFrame(code, 0, () => undefined);
}

/** @param code OPERATION.createKey or OPERATION.createVersion */
export function encodeNewKey(code: number, { name, algorithm, id, wrapped }: NewKey): Buffer {
  const wire: WireNewKey = { name, algorithm, id: base64(id), wrapped: wrapped && wireOf(wrapped) };
  return encodeJson(code, wire);
}

export function decodeNewKey(payload: Buffer): NewKey {
  const { id, wrapped, ...key } = decodeJson<WireNewKey>(payload);
  return { ...key, id: Buffer.from(id, 'base64'), wrapped: wrapped && wrappedOf(wrapped) };
}

function wireOf({ importKeyId, bytes, publicKey }: WrappedKey): WireWrappedKey {
  return { importKeyId, bytes: base64(bytes), publicKey: publicKey && base64(publicKey) };
}

function wrappedOf({ importKeyId, bytes, publicKey }: WireWrappedKey): WrappedKey {
  return {
    importKeyId,
    bytes: Buffer.from(bytes, 'base64'),
    publicKey: publicKey === undefined ? undefined : Buffer.from(publicKey, 'base64'),
  };
}

interface WireNewKey extends Pick<NewKey, 'name' | 'algorithm'> {
  readonly id: string;
  readonly wrapped: WireWrappedKey | undefined;
}

interface WireWrappedKey {
  readonly importKeyId: string;
  readonly bytes: string;
  readonly publicKey: string | undefined;
}

/** The answer to them: the key, and whether this call made its version. */
export interface Creation {
  readonly key: Key;
  readonly made: boolean;
}

/** What a lane answers to OPERATION.makeImportKey. */
export function encodeImportKey({ publicKey, ...key }: ImportKey): WireImportKey {
  return { ...key, publicKey: base64(publicKey) };
}

export function decodeImportKey(payload: Buffer): ImportKey {
  const { publicKey, ...key } = decodeJson<WireImportKey>(payload);
  return { ...key, publicKey: Buffer.from(publicKey, 'base64') };
}

interface WireImportKey extends Omit<ImportKey, 'publicKey'> {
  readonly publicKey: string;
}

/** @param code OPERATION.destroyVersion or OPERATION.forgetVersion */
export function encodeVersionRef(code: number, { key, id }: VersionRef): Buffer {
  return encodeJson(code, { key, id });
}

/** What OPERATION.setVersionState carries. */
export interface StateChange extends VersionRef {
  readonly state: UsageState;
}

export function encodeStateChange({ key, id }: VersionRef, state: UsageState): Buffer {
  const change: StateChange = { key, id, state };
  return encodeJson(OPERATION.setVersionState, change);
}

/** What OPERATION.removeRecords carries. */
export interface RecordRemoval {
  /** The key's name. */
  readonly key: string;
  readonly stamps: readonly Stamp[];
}

/** What OPERATION.publicKeys carries. */
export function encodeVersionRefs(refs: readonly VersionRef[]): Buffer {
  return encodeJson(
    OPERATION.publicKeys,
    refs.map(({ key, id }) => ({ key, id })),
  );
}

/** The answer: each version's SubjectPublicKeyInfo, and fingerprints, in base64. */
interface WirePublicKeys {
  readonly keys: readonly string[];
  readonly fingerprints: readonly { readonly id: string; readonly mac: string }[];
}

export function publicKeysAnswer({ result, fingerprints }: Proven<Buffer[]>): WirePublicKeys {
  return {
    keys: result.map(base64),
    fingerprints: fingerprints.map(({ id, mac }) => ({ id, mac: base64(mac) })),
  };
}

export function decodePublicKeys(answer: Buffer): Proven<Buffer[]> {
  const { keys, fingerprints } = decodeJson<WirePublicKeys>(answer);
  return {
    result: keys.map((key) => Buffer.from(key, 'base64')),
    fingerprints: fingerprints.map(({ id, mac }) => ({ id, mac: Buffer.from(mac, 'base64') })),
  };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

interface WireError {
  readonly reason: ErrorReason;
  readonly message: string;
  /** For the log alone. */
  readonly detail?: string;
  readonly violations: readonly FieldViolation[];
}

export function encodeFailure(code: number, error: SigildError): Buffer {
  const { reason, message, cause, violations } = error;
  const detail = cause instanceof Error ? cause.message : undefined;
  const wire: WireError = {
    reason,
    message,
    violations,
    ...(detail === undefined ? {} : { detail }),
  };
  return encodeJson(code, wire);
}

/** @throws {Error} for what {@link encodeFailure} has not written: nothing else may reach a caller */
export function decodeFailure(payload: Buffer): SigildError {
  const { reason, message, detail, violations } = decodeJson<WireError>(payload);
  const isWhole =
    ERROR_REASONS.includes(reason) && typeof message === 'string' && violations.every(isViolation);
  if (!isWhole) throw new Error('a failure that is none');
  const cause = detail === undefined ? {} : { cause: new Error(String(detail)) };
  return new SigildError(reason, message, { ...cause, violations });
}

function isViolation({ field, description }: FieldViolation): boolean {
  return typeof field === 'string' && typeof description === 'string';
}
