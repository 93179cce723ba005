import { timingSafeEqual } from 'node:crypto';
import { SigildError } from '../domain/errors.ts';
import type { Fingerprint } from '../domain/fingerprint.ts';
import { type VersionRef, versionName } from '../domain/key.ts';
import { AgreedKeys } from './agreed-keys.ts';
import {
  type AgreementEntry,
  type DirectoryEntry,
  KeyDirectory,
  type MacEntry,
} from './key-directory.ts';
import type { KeyLocations } from './key-locations.ts';
import type { KeyObject, KeyObjects } from './key-objects.ts';
import { type MacKey, signMac, verifyMac } from './mac.ts';
import { digestOf, signDigest } from './pair-signature.ts';
import { verifyWithPair } from './pair-verification.ts';
import { proveKey } from './prove-key.ts';
import { spkiOf } from './public-key.ts';
import type { Session } from './session.ts';
import { WarmKeys, type WarmKeysOptions } from './warm-keys.ts';

export interface LoadedKeysOptions {
  readonly objects: KeyObjects;
  readonly locations: KeyLocations;
  /** How to sign with copies of keys; undefined to sign with the keys themselves. */
  readonly warmKeys: WarmKeysOptions | undefined;
  /** Throws unless the token works: a key is only then believed to be missing. */
  readonly assertTokenWorks: () => void;
}

/** A message and what is said to be its MAC. */
export interface SignedBytes {
  readonly data: Buffer;
  readonly mac: Buffer;
}

/** The keys that one session has found, ready for use. */
export class LoadedKeys {
  readonly #objects: KeyObjects;
  readonly #locations: KeyLocations;
  readonly #assertTokenWorks: () => void;
  readonly #directory = new KeyDirectory();
  readonly #warmKeys: WarmKeys | undefined;
  readonly #agreedKeys = new AgreedKeys();

  constructor({ objects, locations, warmKeys, assertTokenWorks }: LoadedKeysOptions) {
    this.#objects = objects;
    this.#locations = locations;
    this.#assertTokenWorks = assertTokenWorks;
    this.#warmKeys = warmKeys && new WarmKeys(warmKeys);
  }

  /**
   * @param fingerprints gets the version's fingerprint when this is the first use of its handle
   * @throws {SigildError} KEY_NOT_FOUND, KEY_AMBIGUOUS, and as {@link proveKey}
   * @throws {CryptokiError}
   */
  load(session: Session, ref: VersionRef, fingerprints: Fingerprint[]): DirectoryEntry {
    const known = this.#directory.get(ref);
    if (known) return known;
    const { entry, fingerprint } = proveKey(session, this.#object(session, ref));
    if (fingerprint) fingerprints.push({ id: ref.id, mac: fingerprint });
    this.#directory.set(ref, entry);
    return entry;
  }

  /** The SubjectPublicKeyInfo of a key pair. */
  publicKey(entry: DirectoryEntry): Buffer {
    if (entry.kind !== 'mac') return spkiOf(entry.publicKey);
    throw new Error('a secret key has no public key');
  }

  /**
   * Makes the MAC or signature of each message.
   *
   * @param digests whether the messages are given by their digests
   * @throws {CryptokiError}
   */
  sign(
    session: Session,
    ref: VersionRef,
    entry: DirectoryEntry,
    batch: readonly Buffer[],
    digests: boolean,
  ): Buffer[] {
    if (entry.kind === 'pair') {
      return batch.map((message) =>
        signDigest(session, entry, digests ? message : digestOf(entry, message)),
      );
    }
    const key = this.#signingKey(session, ref, macEntry(entry), batch.length);
    return batch.map((data) => signMac(session, key, data));
  }

  /** Makes the MAC of each message with the key agreed upon with a peer. @throws as AgreedKeys.pick */
  signAgreed(
    session: Session,
    ref: VersionRef,
    entry: DirectoryEntry,
    peer: Buffer,
    batch: readonly Buffer[],
  ): Buffer[] {
    const key = this.#agreedKeys.pick(session, ref, agreementEntry(entry), peer, 'sign');
    return batch.map((data) => signMac(session, key, data));
  }

  /** Whether it is the MAC by the key agreed upon with a peer. @throws as AgreedKeys.pick */
  matchesAgreed(
    session: Session,
    ref: VersionRef,
    entry: DirectoryEntry,
    peer: Buffer,
    { data, mac }: SignedBytes,
  ): boolean {
    const key = this.#agreedKeys.pick(session, ref, agreementEntry(entry), peer, 'verify');
    return mac.byteLength === key.macBytes && timingSafeEqual(signMac(session, key, data), mac);
  }

  /**
   * A key that may sign verifies by making the MAC itself: C_Verify's answers differ from token to
   * token (NSS 3.87 answers a wrong MAC with CKR_DEVICE_ERROR).
   *
   * @param digests whether the message is given by its digest
   */
  matches(
    session: Session,
    ref: VersionRef,
    entry: DirectoryEntry,
    signed: SignedBytes,
    digests: boolean,
  ): boolean {
    if (entry.kind === 'pair') return verifyWithPair(session, entry, signed, digests);
    const { data, mac } = signed;
    const own = macEntry(entry);
    if (mac.byteLength !== own.macBytes) return false;
    if (!own.maySign) return verifyMac(session, own, data, mac);
    const key = this.#signingKey(session, ref, own, 1);
    return timingSafeEqual(signMac(session, key, data), mac);
  }

  /** What is known of a version must be found anew. @param session undefined when it has closed */
  forget(session: Session | undefined, ref: VersionRef): void {
    this.#directory.forget(ref);
    this.#locations.forget(ref);
    if (!session) return;
    this.#warmKeys?.drop(session, ref);
    this.#agreedKeys.drop(session, ref);
  }

  /** To be called when the session has been closed: copies and agreed keys went with it. */
  forgetCopies(): void {
    this.#warmKeys?.forgetAll();
    this.#agreedKeys.forgetAll();
  }

  /** The key to sign with: its copy where those are in use. @param macs how many are to be made */
  #signingKey(session: Session, ref: VersionRef, entry: MacEntry, macs: number): MacKey {
    if (!this.#warmKeys || !entry.fingerprint) return entry;
    return this.#warmKeys.pick(session, ref, entry, entry.fingerprint, macs);
  }

  /** Looks where some session of this process has found the key, and searches when it is not there. */
  #object(session: Session, ref: VersionRef): KeyObject {
    const handle = this.#locations.get(ref);
    const object = handle && this.#objects.readPresent(session, handle);
    if (object && versionName(object.version) === versionName(ref)) return object;
    return this.#find(session, ref);
  }

  /** Searches once for all versions of a key: a search costs the same for one and for all. */
  #find(session: Session, ref: VersionRef): KeyObject {
    const named = this.#objects.named(session, ref.key);
    this.#locations.take(named);
    const [object, ...others] = named.filter(({ version }) => version.id === ref.id);
    if (others.length > 0) {
      throw new SigildError(
        'KEY_AMBIGUOUS',
        `more than one object on the token claims to be key ${ref.key} with the id ${ref.id}`,
      );
    }
    if (object) return object;
    this.#assertTokenWorks();
    throw new SigildError('KEY_NOT_FOUND', `key ${ref.key} is no longer on the token`);
  }
}

function macEntry(entry: MacEntry | AgreementEntry): MacEntry {
  if (entry.kind === 'mac') return entry;
  throw new Error(`${entry.algorithm} makes MACs with a peer alone`);
}

function agreementEntry(entry: DirectoryEntry): AgreementEntry {
  if (entry.kind === 'agreement') return entry;
  throw new Error('the key agrees upon no others');
}
