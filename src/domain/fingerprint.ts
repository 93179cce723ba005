/**
 * Which key a version's handle turned out to be: the start of its MAC of the reserved text, or of a
 * key pair the start of the public key's SHA-256, when the private key has been found to belong to it.
 */
export interface Fingerprint {
  /** The version's id. */
  readonly id: string;
  /** {@link FINGERPRINT_BYTES} bytes. */
  readonly mac: Uint8Array;
}

export const FINGERPRINT_BYTES = 16;

/** A result, and what proves that it was made with the right keys. */
export interface Proven<Result> {
  readonly result: Result;
  /** Of the versions that were loaded for it. The result must not be used where one differs. */
  readonly fingerprints: readonly Fingerprint[];
}
