import { createHash } from 'node:crypto';
import type { Hash } from '../domain/algorithm.ts';
import { SigildError } from '../domain/errors.ts';

/**
 * The text whose MAC is a version's fingerprint. No client may have it signed, so that a fingerprint
 * proves which key a token used.
 */
export const FINGERPRINT_TEXT: Uint8Array = new TextEncoder().encode(
  'sigild key fingerprint v1: reserved, never signed for a client',
);

export function isReserved(data: Uint8Array): boolean {
  return data.byteLength === FINGERPRINT_TEXT.byteLength && isReservedAt(0, data);
}

/** Compares data that come in pieces with the reserved text, and keeps none of them. */
export class ReservedText {
  #bytes = 0;
  #isSame = true;

  add(piece: Uint8Array): void {
    this.#isSame &&= isReservedAt(this.#bytes, piece);
    this.#bytes += piece.byteLength;
  }

  /** Whether all pieces together are that text. */
  get isWhole(): boolean {
    return this.#isSame && this.#bytes === FINGERPRINT_TEXT.byteLength;
  }
}

export function dataReserved(): SigildError {
  return new SigildError('DATA_RESERVED', 'this text is reserved for key fingerprints');
}

function isReservedAt(start: number, piece: Uint8Array): boolean {
  return piece.every((byte, index) => byte === FINGERPRINT_TEXT[start + index]);
}

/** Whether a digest is that of the reserved text. */
export function isReservedDigest(hash: Hash, digest: Uint8Array): boolean {
  return createHash(hash).update(FINGERPRINT_TEXT).digest().equals(digest);
}
