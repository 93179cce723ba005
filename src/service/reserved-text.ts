import { createHash } from 'node:crypto';
import type { Hash } from '../domain/algorithm.ts';

/**
 * The text whose MAC is a version's fingerprint. No client may have it signed, so that a fingerprint
 * proves which key a token used.
 */
export const FINGERPRINT_TEXT: Uint8Array = new TextEncoder().encode(
  'sigild key fingerprint v1: reserved, never signed for a client',
);

export function isReserved(data: Uint8Array): boolean {
  return (
    data.byteLength === FINGERPRINT_TEXT.byteLength &&
    data.every((byte, index) => byte === FINGERPRINT_TEXT[index])
  );
}

/** Whether a digest is that of the reserved text. */
export function isReservedDigest(hash: Hash, digest: Uint8Array): boolean {
  return createHash(hash).update(FINGERPRINT_TEXT).digest().equals(digest);
}
