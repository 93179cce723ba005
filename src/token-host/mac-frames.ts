import { FINGERPRINT_BYTES, type Fingerprint } from '../domain/fingerprint.ts';
import type { VersionRef } from '../domain/key.ts';
import { VERSION_ID_BYTES } from '../domain/version-id.ts';
import type { SignedData } from '../service/token-values.ts';
import { encodeFrame } from './frames.ts';
import { OPERATION, OUTCOME } from './protocol.ts';

const FINGERPRINT_ENTRY_BYTES = VERSION_ID_BYTES + FINGERPRINT_BYTES;

export interface SignPayload {
  readonly ref: VersionRef;
  readonly batch: readonly Buffer[];
}

export interface VerifyPayload {
  readonly refs: readonly VersionRef[];
  readonly batch: readonly { readonly data: Buffer; readonly mac: Buffer }[];
}

/** The version, the number of messages (4 bytes), then each message after its length (4 bytes). */
export function encodeSign(
  ref: VersionRef,
  batch: readonly Uint8Array[],
  code: number = OPERATION.sign,
): Buffer {
  const size = refBytes(ref) + 4 + sum(batch, (data) => 4 + data.byteLength);
  return encodeFrame(code, size, (payload) => {
    let at = payload.writeUInt32BE(batch.length, writeRef(payload, 0, ref));
    for (const data of batch) at = writeBytes(payload, at, data);
  });
}

/** @throws {Error} for what {@link encodeSign} has not written */
export function decodeSign(payload: Buffer): SignPayload {
  const { ref, end } = readRef(payload, 0);
  let at = end + 4;
  const batch = Array.from({ length: payload.readUInt32BE(end) }, () => {
    const data = readBytes(payload, at);
    at += 4 + data.byteLength;
    return data;
  });
  assertEnd(payload, at);
  return { ref, batch };
}

/** The versions after their number (2 bytes), the number of messages, then each MAC and message. */
export function encodeVerify(
  refs: readonly VersionRef[],
  batch: readonly SignedData[],
  code: number = OPERATION.verify,
): Buffer {
  const messageBytes = sum(batch, ({ data, mac }) => 8 + data.byteLength + mac.byteLength);
  const size = 2 + sum(refs, refBytes) + 4 + messageBytes;
  return encodeFrame(code, size, (payload) => {
    let at = payload.writeUInt16BE(refs.length, 0);
    for (const ref of refs) at = writeRef(payload, at, ref);
    at = payload.writeUInt32BE(batch.length, at);
    for (const { data, mac } of batch) at = writeBytes(payload, writeBytes(payload, at, mac), data);
  });
}

/** @throws {Error} for what {@link encodeVerify} has not written */
export function decodeVerify(payload: Buffer): VerifyPayload {
  let at = 2;
  const refs = Array.from({ length: payload.readUInt16BE(0) }, () => {
    const { ref, end } = readRef(payload, at);
    at = end;
    return ref;
  });
  const messages = payload.readUInt32BE(at);
  at += 4;
  const batch = Array.from({ length: messages }, () => {
    const mac = readBytes(payload, at);
    const data = readBytes(payload, at + 4 + mac.byteLength);
    at += 8 + mac.byteLength + data.byteLength;
    return { data, mac };
  });
  assertEnd(payload, at);
  return { refs, batch };
}

/** The result of Sign is the MACs, that of Verify for each message the version's index (-1: none). */
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

/** @throws {Error} when the answer is cut off */
export function decodeFingerprints(answer: Buffer): (Fingerprint & { readonly mac: Buffer })[] {
  const fingerprints: (Fingerprint & { readonly mac: Buffer })[] = [];
  const count = answer.readUInt16BE(0);
  assertWithin(answer, 2 + count * FINGERPRINT_ENTRY_BYTES);
  for (let index = 0; index < count; index += 1) {
    const at = 2 + index * FINGERPRINT_ENTRY_BYTES;
    const macAt = at + VERSION_ID_BYTES;
    fingerprints.push({
      id: answer.toString('hex', at, macAt),
      mac: Buffer.from(answer.subarray(macAt, macAt + FINGERPRINT_BYTES)),
    });
  }
  return fingerprints;
}

export function decodeResult(answer: Buffer): Buffer {
  return answer.subarray(2 + answer.readUInt16BE(0) * FINGERPRINT_ENTRY_BYTES);
}

/** @param macs how many there are, all of one length */
export function decodeMacs(result: Buffer, macs: number): Buffer[] {
  const macBytes = result.byteLength / macs;
  const separate: Buffer[] = [];
  for (let at = 0; at < result.byteLength; at += macBytes) {
    separate.push(result.subarray(at, at + macBytes));
  }
  return separate;
}

/** 2 bytes each. */
export function encodeIndexes(indexes: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(2 * indexes.length);
  for (const [message, index] of indexes.entries()) bytes.writeInt16BE(index, 2 * message);
  return bytes;
}

export function decodeIndexes(result: Buffer): number[] {
  return Array.from({ length: result.byteLength / 2 }, (_, message) =>
    result.readInt16BE(2 * message),
  );
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
  assertWithin(payload, end);
  const key = payload.toString('latin1', nameStart, nameEnd);
  return { ref: { key, id: payload.toString('hex', nameEnd, end) }, end };
}

function writeBytes(payload: Buffer, at: number, bytes: Uint8Array): number {
  const start = payload.writeUInt32BE(bytes.byteLength, at);
  payload.set(bytes, start);
  return start + bytes.byteLength;
}

function readBytes(payload: Buffer, at: number): Buffer {
  const start = at + 4;
  const end = start + payload.readUInt32BE(at);
  assertWithin(payload, end);
  return payload.subarray(start, end);
}

// Half a message must never be signed in its place.
function assertWithin({ byteLength }: Buffer, end: number): void {
  if (end > byteLength) throw new Error('a frame is cut off');
}

function assertEnd({ byteLength }: Buffer, end: number): void {
  if (end !== byteLength) throw new Error('a frame has more than it says');
}

function sum<Item>(items: readonly Item[], of: (item: Item) => number): number {
  let total = 0;
  for (const item of items) total += of(item);
  return total;
}
