import { type ErrorReason, SigildError } from '../domain/errors.ts';
import { FINGERPRINT_BYTES, type Fingerprint } from '../domain/fingerprint.ts';
import type { Key, VersionRef } from '../domain/key.ts';
import { VERSION_ID_BYTES } from '../domain/version-id.ts';
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
} as const;

/** The codes of answer frames. After `lost` the whole host is of no use any more. */
export const OUTCOME = { done: 0, failed: 1, lost: 2 } as const;

const FINGERPRINT_ENTRY_BYTES = VERSION_ID_BYTES + FINGERPRINT_BYTES;

export interface SignPayload {
  readonly ref: VersionRef;
  readonly data: Buffer;
}

export interface VerifyPayload {
  readonly refs: readonly VersionRef[];
  readonly data: Buffer;
  readonly mac: Buffer;
}

export function encodeSign(ref: VersionRef, data: Uint8Array): Buffer {
  const size = refBytes(ref) + data.byteLength;
  return encodeFrame(OPERATION.sign, size, (payload) => {
    payload.set(data, writeRef(payload, 0, ref));
  });
}

export function decodeSign(payload: Buffer): SignPayload {
  const { ref, end } = readRef(payload, 0);
  return { ref, data: payload.subarray(end) };
}

export function encodeVerify(
  refs: readonly VersionRef[],
  data: Uint8Array,
  mac: Uint8Array,
): Buffer {
  const refsBytes = refs.reduce((sum, ref) => sum + refBytes(ref), 0);
  const size = 2 + refsBytes + 1 + mac.byteLength + data.byteLength;
  return encodeFrame(OPERATION.verify, size, (payload) => {
    let at = payload.writeUInt16BE(refs.length, 0);
    for (const ref of refs) at = writeRef(payload, at, ref);
    at = payload.writeUInt8(mac.byteLength, at);
    payload.set(mac, at);
    payload.set(data, at + mac.byteLength);
  });
}

export function decodeVerify(payload: Buffer): VerifyPayload {
  let at = 2;
  const refs = Array.from({ length: payload.readUInt16BE(0) }, () => {
    const { ref, end } = readRef(payload, at);
    at = end;
    return ref;
  });
  const macStart = at + 1;
  const macEnd = macStart + payload.readUInt8(at);
  return { refs, mac: payload.subarray(macStart, macEnd), data: payload.subarray(macEnd) };
}

/** The result of Sign is the MAC, that of Verify the index of the version (-1: none) in 2 bytes. */
export function encodeAnswer(result: Buffer, fingerprints: readonly Fingerprint[]): Buffer {
  const size = 2 + fingerprints.length * FINGERPRINT_ENTRY_BYTES + result.byteLength;
  return encodeFrame(OUTCOME.done, size, (payload) => {
    let at = payload.writeUInt16BE(fingerprints.length, 0);
    for (const { id, mac } of fingerprints) {
      at += payload.write(id, at, VERSION_ID_BYTES, 'hex');
      payload.set(mac, at);
      at += FINGERPRINT_BYTES;
    }
    payload.set(result, at);
  });
}

export function decodeFingerprints(answer: Buffer): (Fingerprint & { readonly mac: Buffer })[] {
  return Array.from({ length: answer.readUInt16BE(0) }, (_, index) => {
    const at = 2 + index * FINGERPRINT_ENTRY_BYTES;
    const macAt = at + VERSION_ID_BYTES;
    return {
      id: answer.toString('hex', at, macAt),
      mac: Buffer.from(answer.subarray(macAt, macAt + FINGERPRINT_BYTES)),
    };
  });
}

export function decodeResult(answer: Buffer): Buffer {
  return answer.subarray(2 + answer.readUInt16BE(0) * FINGERPRINT_ENTRY_BYTES);
}

export function decodeIndex(result: Buffer): number {
  return result.readInt16BE(0);
}

export function encodeIndex(index: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(index);
  return bytes;
}

/** Rare operations travel as JSON. */
export function encodeJson(code: number, value: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(value ?? null));
  return encodeFrame(code, json.byteLength, (payload) => payload.set(json));
}

export function encodeCreateKey({ name, algorithm, id }: NewKey): Buffer {
  const hex = Buffer.from(id).toString('hex');
  return encodeJson(OPERATION.createKey, { name, algorithm, id: hex });
}

export function decodeCreateKey(payload: Buffer): NewKey {
  const { name, algorithm, id } = JSON.parse(payload.toString('utf8'));
  return { name, algorithm, id: Buffer.from(id, 'hex') };
}

/** A key, and whether this call made it or an earlier one with the same tag. */
export interface Creation {
  readonly key: Key;
  readonly made: boolean;
}

export function decodeCreation(payload: Buffer): Creation {
  return JSON.parse(payload.toString('utf8')) as Creation;
}

export function encodeDestroyVersion({ key, id }: VersionRef): Buffer {
  return encodeJson(OPERATION.destroyVersion, { key, id });
}

export function decodeDestroyVersion(payload: Buffer): VersionRef {
  return JSON.parse(payload.toString('utf8')) as VersionRef;
}

export function encodeName(name: string): Buffer {
  return encodeJson(OPERATION.findKey, name);
}

/** An operation that needs no payload. */
export function encodeEmpty(code: number): Buffer {
  return encodeFrame(code, 0, () => undefined);
}

export function decodeName(payload: Buffer): string {
  return JSON.parse(payload.toString('utf8')) as string;
}

export function decodeKey(payload: Buffer): Key | undefined {
  return (JSON.parse(payload.toString('utf8')) as Key | null) ?? undefined;
}

export function decodeKeys(payload: Buffer): Key[] {
  return JSON.parse(payload.toString('utf8')) as Key[];
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
  const { reason, message, detail } = JSON.parse(payload.toString('utf8')) as WireError;
  return new SigildError(reason, message, detail === undefined ? {} : { cause: new Error(detail) });
}

function refBytes({ key }: VersionRef): number {
  return 1 + key.length + VERSION_ID_BYTES;
}

/** @returns where the next field starts */
function writeRef(payload: Buffer, at: number, { key, id }: VersionRef): number {
  // Key names are ASCII: one byte a character.
  const nameEnd = payload.writeUInt8(key.length, at) + payload.write(key, at + 1, 'latin1');
  return nameEnd + payload.write(id, nameEnd, VERSION_ID_BYTES, 'hex');
}

function readRef(payload: Buffer, at: number): { ref: VersionRef; end: number } {
  const nameStart = at + 1;
  const nameEnd = nameStart + payload.readUInt8(at);
  const end = nameEnd + VERSION_ID_BYTES;
  const key = payload.toString('latin1', nameStart, nameEnd);
  return { ref: { key, id: payload.toString('hex', nameEnd, end) }, end };
}
