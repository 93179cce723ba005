import { type VersionRef, versionName } from '../domain/key.ts';
import { maySign } from '../domain/key-state.ts';
import { type KeyObject, macKeyOf } from './key-objects.ts';
import type { MacKey } from './mac.ts';

export interface DirectoryEntry extends MacKey {
  /** Whether the key might sign when it was read. The token decides when it is used. */
  readonly maySign: boolean;
  /** Its MAC of the reserved text, once it has been made with this handle. */
  fingerprint: Buffer | undefined;
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

  add(object: KeyObject): DirectoryEntry {
    const entry: DirectoryEntry = {
      ...macKeyOf(object),
      maySign: maySign(object.version.state),
      fingerprint: undefined,
    };
    this.#entries.set(versionName(object.version), entry);
    return entry;
  }

  forget(ref: VersionRef): void {
    this.#entries.delete(versionName(ref));
  }
}
