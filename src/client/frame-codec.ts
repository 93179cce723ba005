import type { PipelineResponse__Output } from '../generated/sigild/v1/PipelineResponse.ts';
import { v1 } from '../rpc/proto.ts';

/** A message and, where it is to be verified, its signature. */
export interface Item {
  readonly data: Uint8Array;
  readonly signature: Uint8Array | undefined;
  /** Undefined for a message that is given whole, and a signature in its usual form. */
  readonly form?: ItemForm | undefined;
}

/** How a message is given, and its signature is written. */
export interface ItemForm {
  /** Whether `data` is a digest. */
  readonly isDigest: boolean;
  readonly format: 'DER' | 'RAW' | undefined;
  readonly peerPublicKey?: Uint8Array | undefined;
  readonly peerKey?: string | undefined;
  readonly dryRun?: boolean | undefined;
}

/** What a PipelineRequest says. */
export interface FrameRequest {
  /** From 1 to 2^32 - 1. */
  readonly correlationId: number;
  readonly operation: 'sign' | 'verify';
  readonly key: string;
  readonly version: number | undefined;
  readonly items: readonly Item[];
}

/** Tags of sigild.v1, each a field number and its wire type. All are of one byte. */
const TAG = {
  correlationId: 0x08,
  sign: 0x12,
  verify: 0x1a,
  key: 0x0a,
  version: 0x10,
  data: 0x1a,
  signature: 0x22,
  answeredSignature: 0x0a,
} as const;

const TAG_BYTES = 1;

/** The bytes of a PipelineRequest, in a fraction of the time that the generated encoder takes. */
export function encodeFrame(frame: FrameRequest): Buffer {
  const { correlationId, operation, key, version, items } = frame;
  const keyBytes = Buffer.byteLength(key);
  const batchBytes =
    fieldBytes(keyBytes) +
    (version === undefined ? 0 : TAG_BYTES + varintBytes(version)) +
    itemsBytes(items);
  const bytes = Buffer.allocUnsafe(TAG_BYTES + varintBytes(correlationId) + fieldBytes(batchBytes));
  let at = writeNumber(bytes, 0, TAG.correlationId, correlationId);
  at = writeNumber(bytes, at, TAG[operation], batchBytes);
  at = writeNumber(bytes, at, TAG.key, keyBytes);
  at += bytes.write(key, at);
  if (version !== undefined) at = writeNumber(bytes, at, TAG.version, version);
  for (const { data } of items) at = writeBytes(bytes, at, TAG.data, data);
  for (const { signature } of items) {
    if (signature) at = writeBytes(bytes, at, TAG.signature, signature);
  }
  return bytes;
}

function itemsBytes(items: readonly Item[]): number {
  let bytes = 0;
  for (const { data, signature } of items) {
    bytes += fieldBytes(data.byteLength);
    if (signature) bytes += fieldBytes(signature.byteLength);
  }
  return bytes;
}

/** The length of a field that says its own length. */
function fieldBytes(contentBytes: number): number {
  return TAG_BYTES + varintBytes(contentBytes) + contentBytes;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest /= 0x80) bytes += 1;
  return bytes;
}

/** @returns where the next byte goes */
function writeNumber(target: Buffer, offset: number, tag: number, value: number): number {
  let at = offset;
  target[at++] = tag;
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) target[at++] = (rest % 0x80) | 0x80;
  target[at++] = rest;
  return at;
}

/** @returns where the next byte goes */
function writeBytes(target: Buffer, offset: number, tag: number, content: Uint8Array): number {
  const at = writeNumber(target, offset, tag, content.byteLength);
  target.set(content, at);
  return at + content.byteLength;
}

/**
 * Reads a PipelineResponse as the generated decoder does.
 *
 * The signatures of an answer that is laid out as all known encoders do it are cut out here, which
 * is most of the work; the generated decoder reads what stands around them, and every other answer.
 */
export function decodeAnswer(bytes: Buffer): PipelineResponse__Output {
  const reader = new Reader(bytes);
  const correlationId = reader.number(TAG.correlationId);
  const batchBytes = reader.number(TAG.sign);
  if (correlationId === undefined || batchBytes !== bytes.byteLength - reader.at) {
    return v1.PipelineResponse.deserialize(bytes);
  }
  const signatures: Buffer[] = [];
  for (;;) {
    const start = reader.at;
    const length = reader.number(TAG.answeredSignature);
    if (length === undefined || reader.at + length > bytes.byteLength) {
      const rest = v1.BatchSignResponse.deserialize(bytes.subarray(start));
      const sign = { ...rest, signatures: [...signatures, ...rest.signatures] };
      return { correlationId, sign };
    }
    signatures.push(bytes.subarray(reader.at, reader.at + length));
    reader.at += length;
  }
}

/** More would not fit a number's bitwise operations, and nothing that is read here is as large. */
const MAX_VARINT_BITS = 28;

class Reader {
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** @returns undefined, not having moved, when no small number with this tag stands here */
  number(tag: number): number | undefined {
    if (this.#bytes[this.at] !== tag) return undefined;
    let value = 0;
    let at = this.at + TAG_BYTES;
    for (let shift = 0; shift < MAX_VARINT_BITS; shift += 7) {
      const byte = this.#bytes[at++];
      if (byte === undefined) return undefined;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.at = at;
        return value;
      }
    }
    return undefined;
  }
}
