import { SigildError } from '../domain/errors.ts';
import type { Fingerprint } from '../domain/fingerprint.ts';
import { type VersionRef, versionName } from '../domain/key.ts';

/**
 * Remembers which key each version stands for, by its fingerprint. A version is known by its key's
 * name and its id: two keys of other tools may have one id.
 *
 * A host that reports another fingerprint has a handle that changed its meaning: it is not trusted
 * any more. When a second host reports that same other fingerprint, the key itself was replaced on
 * the token: then its use is refused, and the hosts go on serving the other keys.
 */
export class FingerprintRegister {
  readonly #known = new Map<string, Buffer>();
  /** Another fingerprint that one host has reported. */
  readonly #reported = new Map<string, Buffer>();
  readonly #replaced = new Set<string>();

  /**
   * @param fingerprints that came with an answer
   * @param versions with which the answer was made
   * @returns why the answer must not be used, or undefined
   * @throws {Error} when its host must not be trusted
   */
  check(
    fingerprints: readonly Fingerprint[],
    versions: readonly VersionRef[],
  ): SigildError | undefined {
    for (const { id, mac } of fingerprints) {
      const version = versions.find((candidate) => candidate.id === id);
      if (!version) throw new Error(`it used a version that was not asked for: ${id}`);
      this.#take(version, mac);
    }
    if (this.#replaced.size === 0) return undefined;
    const version = versions.find((candidate) => this.#replaced.has(versionName(candidate)));
    return version && replaced(version);
  }

  #take(version: VersionRef, mac: Uint8Array): void {
    const name = versionName(version);
    const known = this.#known.get(name);
    if (known === undefined) this.#known.set(name, Buffer.from(mac));
    if (known === undefined || known.equals(mac)) return;
    if (this.#reported.get(name)?.equals(mac)) {
      this.#replaced.add(name);
      return;
    }
    this.#reported.set(name, Buffer.from(mac));
    throw new Error(`it used another key than before for the version ${version.id}`);
  }
}

function replaced({ key, id }: VersionRef): SigildError {
  return new SigildError(
    'TOKEN_REFUSED',
    `the object ${id} of key ${key} was replaced by another one on the token; put the right one ` +
      'back and restart sigild',
  );
}
