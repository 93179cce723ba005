import pkcs11js from 'pkcs11js';
import { fieldInvalid, SigildError } from '../domain/errors.ts';
import { type VersionRef, versionName } from '../domain/key.ts';
import { AttributeReader } from './attributes.ts';
import { type AgreementKey, deriveMacKey, destroyAgreed } from './key-agreement.ts';
import type { MacKey } from './mac.ts';
import type { Session } from './session.ts';

interface AgreedKey {
  readonly key: MacKey;
  /** Whether the private key might sign when it was derived. */
  readonly maySign: boolean;
  readonly derivedAtMs: number;
}

/** Peers that one session serves in turn without a derivation for each of their calls. */
const MAX_KEYS = 16;

/** The least refresh interval: what another program has forbidden a private key is noticed within it. */
const MAX_AGE_MS = 1_000;

/**
 * Keys that were agreed upon, as objects of one session. On SoftHSM 2.6 a MAC with a new one takes 1.1 ms
 * on P-256 and 10 ms on P-521, with one that is there 0.03 and 0.06 ms: so the latest few are kept for a
 * while.
 */
export class AgreedKeys {
  /** By version and peer, in order of use, the latest last. */
  readonly #keys = new Map<string, AgreedKey>();

  /**
   * @param ref the version that `own` stands for
   * @param peer an uncompressed point of the same curve
   * @returns the key to make MACs with now
   * @throws {SigildError} FIELD_INVALID for the key's own point, KEY_STATE_FORBIDS, TOKEN_REFUSED
   * @throws {CryptokiError}
   */
  pick(
    session: Session,
    ref: VersionRef,
    own: AgreementKey,
    peer: Buffer,
    operation: 'sign' | 'verify',
  ): MacKey {
    if (peer.equals(own.point)) throw ownKey(ref);
    const name = `${versionName(ref)}/${peer.toString('base64')}`;
    const agreed = this.#known(session, name) ?? this.#derive(session, own, peer);
    this.#keys.delete(name);
    this.#keys.set(name, agreed);
    this.#evict(session);
    if (operation === 'verify' || agreed.maySign) return agreed.key;
    throw new SigildError('KEY_STATE_FORBIDS', `a version of key ${ref.key} may sign no more`);
  }

  /** Destroys what a version has agreed upon. */
  drop(session: Session, ref: VersionRef): void {
    const prefix = `${versionName(ref)}/`;
    for (const name of [...this.#keys.keys()]) {
      if (name.startsWith(prefix)) this.#drop(session, name);
    }
  }

  /** To be called when the session has been closed: its objects went with it. */
  forgetAll(): void {
    this.#keys.clear();
  }

  #known(session: Session, name: string): AgreedKey | undefined {
    const known = this.#keys.get(name);
    if (!known || performance.now() - known.derivedAtMs < MAX_AGE_MS) return known;
    this.#drop(session, name);
    return undefined;
  }

  #derive(session: Session, own: AgreementKey, peer: Buffer): AgreedKey {
    // The token enforces CKA_DERIVE; CKA_SIGN of a key that only derives is for sigild to look at.
    const found = new AttributeReader().read(session, own.privateHandle, [pkcs11js.CKA_SIGN]);
    return {
      key: deriveMacKey(session, own, peer),
      maySign: found.isSet(pkcs11js.CKA_SIGN),
      derivedAtMs: performance.now(),
    };
  }

  #evict(session: Session): void {
    if (this.#keys.size <= MAX_KEYS) return;
    const [oldest] = this.#keys.keys();
    if (oldest !== undefined) this.#drop(session, oldest);
  }

  #drop(session: Session, name: string): void {
    const agreed = this.#keys.get(name);
    this.#keys.delete(name);
    if (agreed) destroyAgreed(session, agreed.key);
  }
}

function ownKey({ key }: VersionRef): SigildError {
  return fieldInvalid(
    'peer_public_key',
    `is the public key of key ${key} itself; give that of the peer`,
  );
}
