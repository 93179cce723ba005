/** What a version's id (its CKA_ID, 16 bytes) is made of. */
export interface VersionId {
  /** Milliseconds since 1970; 6 bytes, big-endian. */
  readonly createTimeMs: number;
  /** From 1 to {@link MAX_VERSION}; 4 bytes, big-endian. */
  readonly version: number;
  /** 6 bytes: random, or derived from the request id. */
  readonly tag: Uint8Array;
}

export const VERSION_ID_BYTES = 16;
export const TAG_BYTES = 6;

/** More versions than a key ever has: a bound that tells ids of other tools apart from ours. */
export const MAX_VERSION = 0xf_ffff;

const EARLIEST_MS = Date.UTC(2020, 0, 1);
const LATEST_MS = Date.UTC(2100, 0, 1);

export function encodeVersionId({ createTimeMs, version, tag }: VersionId): Uint8Array {
  const id = new Uint8Array(VERSION_ID_BYTES);
  const view = new DataView(id.buffer);
  view.setUint16(0, Math.floor(createTimeMs / 2 ** 32));
  view.setUint32(2, createTimeMs % 2 ** 32);
  view.setUint32(6, version);
  id.set(tag, 10);
  return id;
}

/**
 * @returns undefined for an id that sigild did not make. A random one of 16 bytes passes for ours
 *   with a probability of about two in a million.
 */
export function decodeVersionId(id: Uint8Array): VersionId | undefined {
  if (id.byteLength !== VERSION_ID_BYTES) return undefined;
  const view = new DataView(id.buffer, id.byteOffset, id.byteLength);
  const createTimeMs = view.getUint16(0) * 2 ** 32 + view.getUint32(2);
  const version = view.getUint32(6);
  if (createTimeMs < EARLIEST_MS || createTimeMs >= LATEST_MS) return undefined;
  if (version < 1 || version > MAX_VERSION) return undefined;
  return { createTimeMs, version, tag: id.slice(10) };
}
