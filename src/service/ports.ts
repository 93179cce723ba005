import type { Algorithm } from '../domain/algorithm.ts';
import type { AuditEffect, AuditedEnd, AuditedOperation } from '../domain/audit-event.ts';
import type { AuditHead } from '../domain/audit-seal.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import type { Key, KeyVersion, VersionRef } from '../domain/key.ts';
import type { ImportKey } from '../domain/key-import.ts';
import type { RecordSubject, Stamp } from '../domain/key-record.ts';
import type { UsageState } from '../domain/key-state.ts';
import type { TokenInfo } from '../domain/token-info.ts';
import type {
  Intent,
  KnownKeys,
  ListedKeys,
  NewKey,
  RecordChange,
  SignedData,
  TokenStream,
} from './token-values.ts';

/**
 * What the services need of the token. It answers with what stands on the token at that moment and
 * remembers no key's state.
 *
 * Every method rejects with `signal.reason` soon after the signal aborts, which must be a
 * SigildError, and with a SigildError else: TOKEN_UNAVAILABLE when the token cannot be reached,
 * POOL_SATURATED when too many calls wait already, SHUTTING_DOWN while it closes. Work that has
 * reached a session is not undone by an abort.
 */
export interface Token {
  /** @returns undefined when the token works and holds no such key */
  findKey(name: string, signal: Cancellation): Promise<Key | undefined>;

  /**
   * Lists the keys that sigild serves. Costs a scan of the token.
   *
   * With what the caller knows it may tell him changes alone, and see no more than: what was made or
   * destroyed, and what became ACTIVE from SUSPENDED. Of other changes, such as another tool's to a
   * label, it tells in time.
   *
   * @param known undefined: every key is read and told
   */
  listKeys(known: KnownKeys | undefined, signal: Cancellation): Promise<ListedKeys>;

  /**
   * Finds out, and changes nothing, what would keep the token from doing something.
   *
   * @throws {SigildError} ALGORITHM_UNSUPPORTED; KEY_ALREADY_EXISTS for a name that any key there has,
   *   whether or not it is served
   */
  check(intent: Intent, signal: Cancellation): Promise<void>;

  /**
   * Generates or unwraps a key and proves its attributes by reading them back.
   *
   * A repeated call whose id has the same tag makes nothing, and changes no settings. Where all versions
   * of the name are DESTROYED, the id has the number after theirs.
   *
   * Settings other than the default ones are there before the key is.
   *
   * @returns the key as it stands on the token now
   * @throws {SigildError} KEY_ALREADY_EXISTS, ALGORITHM_UNSUPPORTED, TOKEN_REFUSED, TOKEN_FULL; for a
   *   wrapped key also IMPORT_KEY_NOT_FOUND, WRAPPED_KEY_INVALID
   */
  createKey(key: NewKey, signal: Cancellation): Promise<Key>;

  /**
   * Generates or unwraps a further version of a key and proves its attributes by reading them back.
   *
   * One object alone may claim a version: when the token holds that version already, or another
   * process makes it at the same time, the call returns the key with that one and leaves none of
   * its own.
   *
   * @returns the key as it stands on the token now
   * @throws {SigildError} ALGORITHM_UNSUPPORTED, TOKEN_REFUSED, TOKEN_FULL; for a wrapped key also
   *   IMPORT_KEY_NOT_FOUND, WRAPPED_KEY_INVALID
   */
  createVersion(key: NewKey, signal: Cancellation): Promise<Key>;

  /**
   * Makes a key pair in the token to wrap a key of this algorithm with. It serves one call of
   * {@link createKey} or {@link createVersion}, whatever comes of it, for as long as
   * domain/key-import.ts says, unless the token loses it or many others were made since.
   *
   * @throws {SigildError} ALGORITHM_UNSUPPORTED, TOKEN_REFUSED
   */
  makeImportKey(algorithm: Algorithm, signal: Cancellation): Promise<ImportKey>;

  /**
   * Gives a version a state, whichever it has. When the promise settles, also with a failure, no
   * call that begins later is answered from what was known of the version before.
   *
   * @returns the key as it stands on the token now
   * @throws {SigildError} KEY_NOT_FOUND, KEY_AMBIGUOUS, TOKEN_REFUSED
   */
  setVersionState(version: VersionRef, state: UsageState, signal: Cancellation): Promise<Key>;

  /**
   * Destroys a version's object for ever; its record stays. When the promise settles, also with a
   * failure, no call that begins later is answered from what was known of the version before.
   *
   * @returns whether the token held it
   * @throws {SigildError} TOKEN_REFUSED
   */
  destroyVersion(version: VersionRef, signal: Cancellation): Promise<boolean>;

  /**
   * Replaces a record, on top of what other processes have made of it: where one of them has come
   * first, the change is asked again what becomes of theirs.
   *
   * @throws {SigildError} TOKEN_REFUSED when the token keeps no records, TOKEN_FULL; what the change
   *   throws
   */
  changeRecord(subject: RecordSubject, change: RecordChange, signal: Cancellation): Promise<void>;

  /**
   * Removes copies of records of a key, whether or not they count.
   *
   * @param key its name
   */
  removeRecords(key: string, stamps: readonly Stamp[], signal: Cancellation): Promise<void>;

  /**
   * Makes the MACs or signatures of a batch in one trip to the token. Those of ECDSA have r and s side
   * by side.
   *
   * @param batch at least one message
   * @param digests whether the messages are given by their digests, for algorithms with a hash alone
   * @returns one for each message, in order, of the algorithm's length
   * @throws {SigildError} KEY_NOT_FOUND, KEY_STATE_FORBIDS, ALGORITHM_UNSUPPORTED; TOKEN_REFUSED for
   *   two halves of a key pair that do not belong together
   */
  sign(
    version: KeyVersion,
    batch: readonly Uint8Array[],
    signal: Cancellation,
    digests?: boolean,
  ): Promise<readonly Uint8Array[]>;

  /**
   * Checks the MACs or signatures of a batch, each against versions in order, in one trip to the token.
   *
   * @param batch at least one message with its MAC or signature, in the form that {@link sign} gives it
   * @param digests as in {@link sign}
   * @returns for each message, in order, the first version whose it is
   * @throws {SigildError} as {@link sign}
   */
  verify(
    versions: readonly KeyVersion[],
    batch: readonly SignedData[],
    signal: Cancellation,
    digests?: boolean,
  ): Promise<readonly (KeyVersion | undefined)[]>;

  /**
   * As {@link sign}, with the key that an agreement key agrees upon with a peer.
   *
   * @param peer an uncompressed point of the algorithm's curve, which the caller has checked
   * @throws {SigildError} as {@link sign}, and FIELD_INVALID for the key's own public key
   */
  signAgreed(
    version: KeyVersion,
    peer: Uint8Array,
    batch: readonly Uint8Array[],
    signal: Cancellation,
  ): Promise<readonly Uint8Array[]>;

  /**
   * As {@link verify}, with the keys that agreement keys agree upon with a peer.
   *
   * @param versions of one curve
   * @param peer as in {@link signAgreed}
   * @throws {SigildError} as {@link signAgreed}
   */
  verifyAgreed(
    versions: readonly KeyVersion[],
    peer: Uint8Array,
    batch: readonly SignedData[],
    signal: Cancellation,
  ): Promise<readonly (KeyVersion | undefined)[]>;

  /**
   * @param versions of key pairs
   * @returns the SubjectPublicKeyInfo of each, in order
   * @throws {SigildError} as {@link sign}
   */
  publicKeys(versions: readonly KeyVersion[], signal: Cancellation): Promise<readonly Uint8Array[]>;

  /**
   * Begins to make the MAC of a message, on a session of its own.
   *
   * @param signal ends the whole operation
   * @throws {SigildError} as {@link sign}; POOL_SATURATED when the token gives no further session
   */
  signStream(version: KeyVersion, signal: Cancellation): Promise<TokenStream<Uint8Array>>;

  /**
   * Begins to check a message's MAC against versions, each on a session of its own. A version that
   * may not verify any more when the message ends counts no more.
   *
   * @param mac of a length that each of the versions makes
   * @param signal ends the whole operation
   * @returns whose result is the first version whose MAC it is
   * @throws {SigildError} as {@link signStream}
   */
  verifyStream(
    versions: readonly KeyVersion[],
    mac: Uint8Array,
    signal: Cancellation,
  ): Promise<TokenStream<KeyVersion | undefined>>;

  /**
   * Tells what the token is and who uses it here, and tries what it can do, with keys that are gone
   * afterwards.
   */
  info(signal: Cancellation): Promise<TokenInfo>;

  /** Makes a real MAC with the canary key; rejects when the token cannot. */
  probe(signal: Cancellation): Promise<void>;
}

/** Where every operation is written down before it is answered. */
export interface AuditLog {
  /** @throws {SigildError} AUDIT_UNAVAILABLE when the log cannot be written and has to be */
  admit(effect: AuditEffect): void;

  /**
   * Writes what is about to be changed.
   *
   * @throws {SigildError} AUDIT_UNAVAILABLE: then it must not be begun
   */
  begin(operation: AuditedOperation): Promise<void>;

  /**
   * Writes what has become of an operation.
   *
   * @throws {SigildError} AUDIT_UNAVAILABLE: then it must not be answered
   */
  end(operation: AuditedEnd, effect: AuditEffect): Promise<void>;
}

/** What the audit log needs of the token; each rejects as the methods of {@link Token} do. */
export interface AuditToken {
  /** @returns the CKA_ID of the key that makes seals, in hexadecimal; it is made where there is none */
  auditKey(signal: Cancellation): Promise<string>;

  /** @param text begins as all texts do that the audit key signs: see audit-seal.ts */
  auditMac(keyId: string, text: Uint8Array, signal: Cancellation): Promise<Uint8Array>;

  /** @param log its UUID @returns undefined where the token has none */
  findAuditHead(log: string, signal: Cancellation): Promise<AuditHead | undefined>;

  /** Replaces the head of a log. @throws {SigildError} TOKEN_REFUSED where the token keeps no data */
  keepAuditHead(log: string, head: AuditHead, signal: Cancellation): Promise<void>;
}
