import { type ErrorReason, SigildError } from '../domain/errors.ts';
import type { Key, VersionRef } from '../domain/key.ts';
import type { KeyState } from '../domain/key-state.ts';
import type { NewKey } from '../service/ports.ts';
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
  openStream: 40,
  updateStream: 41,
  finishStream: 42,
  abandonStream: 43,
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
export function encodeNewKey(code: number, { name, algorithm, id }: NewKey): Buffer {
  return encodeJson(code, { name, algorithm, id: Buffer.from(id).toString('hex') });
}

export function decodeNewKey(payload: Buffer): NewKey {
  const { name, algorithm, id } = decodeJson<Omit<NewKey, 'id'> & { readonly id: string }>(payload);
  return { name, algorithm, id: Buffer.from(id, 'hex') };
}

/** The answer to them: the key, and whether this call made its version. */
export interface Creation {
  readonly key: Key;
  readonly made: boolean;
}

/** @param code OPERATION.destroyVersion or OPERATION.forgetVersion */
export function encodeVersionRef(code: number, { key, id }: VersionRef): Buffer {
  return encodeJson(code, { key, id });
}

/** What OPERATION.setVersionState carries. */
export interface StateChange extends VersionRef {
  readonly state: KeyState;
}

export function encodeStateChange({ key, id }: VersionRef, state: KeyState): Buffer {
  const change: StateChange = { key, id, state };
  return encodeJson(OPERATION.setVersionState, change);
}

interface WireError {
  readonly reason: ErrorReason;
  readonly message: string;
  /** For the log alone. */
  readonly detail?: string;
}

export function encodeFailure(code: number, { reason, message, cause }: SigildError): Buffer {
  const detail = cause instanceof Error ? cause.message : undefined;
  const wire: WireError = { reason, message, ...(detail === undefined ? {} : { detail }) };
  return encodeJson(code, wire);
}

export function decodeFailure(payload: Buffer): SigildError {
  const { reason, message, detail } = decodeJson<WireError>(payload);
  return new SigildError(reason, message, detail === undefined ? {} : { cause: new Error(detail) });
}
