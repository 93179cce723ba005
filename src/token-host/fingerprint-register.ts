import { SigildError } from '../domain/errors.ts';
import type { Fingerprint } from '../domain/fingerprint.ts';
import type { VersionRef } from '../domain/key.ts';

/**
 * Remembers which key each version's id stands for, by its fingerprint.
 *
 * A host that reports another fingerprint has a handle that changed its meaning: it is not trusted
 * any more. When a second host reports that same other fingerprint, the key itself was replaced on
 * the token: then its use is refused, and the hosts go on serving the other keys.
 */
export class FingerprintRegister {
  readonly #known = new Map<string, Buffer>();
  /** By id: another fingerprint that one host has reported. */
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
    for (const fingerprint of fingerprints) this.#take(fingerprint);
    if (this.#replaced.size === 0) return undefined;
    const version = versions.find(({ id }) => this.#replaced.has(id));
    return version && replaced(version);
  }

  #take({ id, mac }: Fingerprint): void {
    const known = this.#known.get(id);
    if (known === undefined) this.#known.set(id, Buffer.from(mac));
    if (known === undefined || known.equals(mac)) return;
    if (this.#reported.get(id)?.equals(mac)) {
      this.#replaced.add(id);
      return;
    }
    this.#reported.set(id, Buffer.from(mac));
    throw new Error(`it used another key than before for the version ${id}`);
  }
}

function replaced({ key, id }: VersionRef): SigildError {
  return new SigildError(
    'TOKEN_REFUSED',
    `the object ${id} of key ${key} was replaced by another one on the token; put the right one ` +
      'back and restart sigild',
  );
}
