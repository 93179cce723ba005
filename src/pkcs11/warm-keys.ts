import pkcs11js from 'pkcs11js';
import { type VersionRef, versionName } from '../domain/key.ts';
import { FINGERPRINT_TEXT } from '../service/reserved-text.ts';
import { AttributeReader, type Handle } from './attributes.ts';
import { CryptokiError, ck } from './ck-rv.ts';
import { type MacKey, signMac } from './mac.ts';
import type { Session } from './session.ts';

export interface WarmKeysOptions {
  /** How many copies one session may hold; the one used longest ago goes for one that is used more. */
  readonly maxCopies: number;
  /** How long a copy may sign before the key itself signs once, which shows that it still may. */
  readonly recheckMs: number;
  readonly now?: () => number;
}

interface Copy {
  /** Undefined where the token makes no copy that is as safe as the key. */
  readonly key: MacKey | undefined;
  checkedAtMs: number;
}

const FINGERPRINT_DATA = Buffer.from(FINGERPRINT_TEXT);

/**
 * A copy costs as much as some ten MACs. When there is no more room for it, a key has to be used so
 * often before it takes another one's place: else keys that take turns would be copied for each use.
 */
const MACS_BEFORE_PLACE = 32;

/**
 * Copies of keys as objects of one session, inside the token and not extractable like the keys
 * themselves: SoftHSM 2.6 looks at a token object's file for each use, not at a session object's.
 *
 * A copy does not notice that another program disables or destroys its key. So the key itself signs
 * the first time after each interval; when it may not any more, the caller drops the copy.
 */
export class WarmKeys {
  readonly #maxCopies: number;
  readonly #recheckMs: number;
  readonly #now: () => number;
  /** In order of use, the latest last. */
  readonly #copies = new Map<string, Copy>();
  /** How many MACs were made with keys for whose copies there was no room. */
  readonly #candidates = new Map<string, number>();

  constructor({ maxCopies, recheckMs, now }: WarmKeysOptions) {
    this.#maxCopies = maxCopies;
    this.#recheckMs = recheckMs;
    this.#now = now ?? (() => performance.now());
  }

  /**
   * @param ref the version that `key` stands for
   * @param macs how many are to be made with it
   * @param fingerprint the key's MAC of the reserved text, which its copy has to make too
   * @returns the key to sign with now: the copy, or `key` itself
   * @throws {CryptokiError} when the session is not to be used any more
   */
  pick(session: Session, ref: VersionRef, key: MacKey, fingerprint: Buffer, macs: number): MacKey {
    const name = versionName(ref);
    const known = this.#copies.get(name);
    if (!known && !this.#hasPlaceFor(name, macs)) return key;
    const copy = known ?? this.#copy(session, key, fingerprint);
    this.#copies.delete(name);
    this.#copies.set(name, copy);
    this.#evict(session);
    if (!copy.key) return key;
    const nowMs = this.#now();
    if (nowMs - copy.checkedAtMs < this.#recheckMs) return copy.key;
    copy.checkedAtMs = nowMs;
    return key;
  }

  /** Destroys the copy of a version, if there is one. */
  drop(session: Session, ref: VersionRef): void {
    this.#drop(session, versionName(ref));
  }

  /** To be called when the session has been closed: its objects went with it. */
  forgetAll(): void {
    this.#copies.clear();
  }

  #hasPlaceFor(name: string, macs: number): boolean {
    if (this.#copies.size < this.#maxCopies) return true;
    const made = (this.#candidates.get(name) ?? 0) + macs;
    if (made >= MACS_BEFORE_PLACE) {
      this.#candidates.delete(name);
      return true;
    }
    // Whoever was counted long ago is not used much.
    if (this.#candidates.size >= this.#maxCopies) this.#candidates.clear();
    this.#candidates.set(name, made);
    return false;
  }

  #copy(session: Session, key: MacKey, fingerprint: Buffer): Copy {
    return {
      key: copyKey(session, key, fingerprint),
      checkedAtMs: this.#now(),
    };
  }

  #evict(session: Session): void {
    if (this.#copies.size <= this.#maxCopies) return;
    const [oldest] = this.#copies.keys();
    if (oldest !== undefined) this.#drop(session, oldest);
  }

  #drop(session: Session, name: string): void {
    const copy = this.#copies.get(name);
    this.#copies.delete(name);
    if (copy?.key) destroyQuietly(session, copy.key.handle);
  }
}

/**
 * Copies a key to a session object and proves that the copy is the same key and as safe.
 *
 * @returns undefined where the token refuses, or the copy differs
 * @throws {CryptokiError} when the session is not to be used any more
 */
export function copyKey(session: Session, key: MacKey, fingerprint: Buffer): MacKey | undefined {
  try {
    const handle = ck('C_CopyObject', () =>
      session.lib.C_CopyObject(session.handle, key.handle, [
        { type: pkcs11js.CKA_TOKEN, value: false },
      ]),
    );
    const copy = { ...key, handle };
    const same = signMac(session, copy, FINGERPRINT_DATA).equals(fingerprint);
    if (same && isSafe(session, handle)) return copy;
    destroyQuietly(session, handle);
    return undefined;
  } catch (error) {
    if (error instanceof CryptokiError && error.verdict.session === 'kept') return undefined;
    throw error;
  }
}

function isSafe(session: Session, handle: Handle): boolean {
  const attributes = new AttributeReader().read(session, handle, [
    pkcs11js.CKA_TOKEN,
    pkcs11js.CKA_SENSITIVE,
    pkcs11js.CKA_EXTRACTABLE,
  ]);
  return (
    attributes.flag(pkcs11js.CKA_TOKEN) === false &&
    attributes.flag(pkcs11js.CKA_SENSITIVE) === true &&
    attributes.flag(pkcs11js.CKA_EXTRACTABLE) === false
  );
}

function destroyQuietly(session: Session, handle: Handle): void {
  try {
    session.lib.C_DestroyObject(session.handle, handle);
  } catch {
    // It goes with its session in any case.
  }
}
