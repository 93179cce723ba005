import type { Algorithm } from '../domain/algorithm.ts';

/** A signature and what made it. */
export interface Signature {
  /** For an HMAC key: the MAC. */
  readonly signature: Uint8Array;
  /** The version that signed. */
  readonly version: number;
  /** The same version's id: 32 hexadecimal digits. */
  readonly versionId: string;
  /** A newer daemon's algorithm is another text than ours. */
  readonly algorithm: Algorithm | (string & Record<never, never>);
}

/**
 * The outcome of a verification, to be read by its `valid` alone. Like every object it is truthy,
 * whatever it says; the version is there for the compiler only where `valid` has been found true.
 */
export type Verification =
  | {
      readonly valid: true;
      /** The version whose signature it is. */
      readonly version: number;
    }
  | { readonly valid: false };

/** What the daemon answers to a call: a Signature to sign, a Verification to verify. */
export type SigningResult = Signature | Verification;
