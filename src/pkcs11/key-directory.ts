import { type VersionRef, versionName } from '../domain/key.ts';
import type { AgreementKey } from './key-agreement.ts';
import type { MacKey } from './mac.ts';
import type { KeyPair } from './pair-signature.ts';

export type DirectoryEntry = MacEntry | PairEntry | AgreementEntry;

export interface MacEntry extends MacKey {
  readonly kind: 'mac';
  /** Whether the key might sign when it was read. The token decides when it is used. */
  readonly maySign: boolean;
  /** Its MAC of the reserved text, which has been made with this handle where it may sign. */
  readonly fingerprint: Buffer | undefined;
}

export interface PairEntry extends KeyPair {
  readonly kind: 'pair';
  /** Whether it might verify when that was read last, and when that was. */
  mayVerify: boolean;
  checkedAtMs: number;
}

export interface AgreementEntry extends AgreementKey {
  readonly kind: 'agreement';
}

/**
 * From a version to the handle of its object, so that a MAC costs no search. Handles live as long
 * as their process: after C_Finalize or a new login the same number may be another key.
 */
export class KeyDirectory {
  readonly #entries = new Map<string, DirectoryEntry>();

  get(ref: VersionRef): DirectoryEntry | undefined {
    return this.#entries.get(versionName(ref));
  }

  set(ref: VersionRef, entry: DirectoryEntry): void {
    this.#entries.set(versionName(ref), entry);
  }

  forget(ref: VersionRef): void {
    this.#entries.delete(versionName(ref));
  }
}
