import type { Algorithm } from '../domain/algorithm.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import type { Key, KeyVersion, VersionRef } from '../domain/key.ts';
import type { KeyState } from '../domain/key-state.ts';
import type { TokenInfo } from '../domain/token-info.ts';

/** A version as it shall stand on the token. */
export interface NewKey {
  readonly name: string;
  readonly algorithm: Algorithm;
  /** The version's id, chosen before the token is asked: see domain/version-id.ts. */
  readonly id: Uint8Array;
}

/** A message and what is said to be its MAC, of any length. */
export interface SignedData {
  readonly data: Uint8Array;
  readonly mac: Uint8Array;
}

/**
 * An operation on a message that comes in pieces, however many, in constant memory. Whoever has opened
 * it ends it with {@link finish} or, also after a failure, with {@link abandon}.
 *
 * It ends by itself when the signal aborts that it was opened with, and its methods reject then with
 * `signal.reason`; else they reject with a SigildError: KEY_STATE_FORBIDS when no version may be used
 * any more, also with a state that was changed meanwhile; TOKEN_UNAVAILABLE when the session was lost,
 * and with it what it had been given.
 */
export interface TokenStream<Result> {
  /**
   * Takes the next piece, which may be reused when the promise has resolved. A failure may show only
   * with the next call.
   *
   * @param piece of any length
   */
  update(piece: Uint8Array): Promise<void>;

  /** Ends the message. */
  finish(): Promise<Result>;

  /** Lets go of the session. After the end it does nothing. */
  abandon(): void;
}

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

  /** Every key that sigild serves, in byte order of names. Costs a scan of the token. */
  listKeys(signal: Cancellation): Promise<readonly Key[]>;

  /**
   * Generates a key and proves its attributes by reading them back.
   *
   * A repeated call with an id that differs in its time alone makes nothing.
   *
   * @returns the key as it stands on the token now
   * @throws {SigildError} KEY_ALREADY_EXISTS, ALGORITHM_UNSUPPORTED, TOKEN_REFUSED, TOKEN_FULL
   */
  createKey(key: NewKey, signal: Cancellation): Promise<Key>;

  /**
   * Generates a further version of a key and proves its attributes by reading them back.
   *
   * One object alone may claim a version: when the token holds that version already, or another
   * process makes it at the same time, the call returns the key with that one and leaves none of
   * its own.
   *
   * @returns the key as it stands on the token now
   * @throws {SigildError} ALGORITHM_UNSUPPORTED, TOKEN_REFUSED, TOKEN_FULL
   */
  createVersion(key: NewKey, signal: Cancellation): Promise<Key>;

  /**
   * Gives a version a state, whichever it has. When the promise settles, also with a failure, no
   * call that begins later is answered from what was known of the version before.
   *
   * @returns the key as it stands on the token now
   * @throws {SigildError} KEY_NOT_FOUND, KEY_AMBIGUOUS, TOKEN_REFUSED
   */
  setVersionState(version: VersionRef, state: KeyState, signal: Cancellation): Promise<Key>;

  /**
   * Makes the MACs of a batch in one trip to the token.
   *
   * @param batch at least one message
   * @returns a MAC for each message, in order, of the algorithm's length
   * @throws {SigildError} KEY_NOT_FOUND, KEY_STATE_FORBIDS, ALGORITHM_UNSUPPORTED
   */
  sign(
    version: KeyVersion,
    batch: readonly Uint8Array[],
    signal: Cancellation,
  ): Promise<readonly Uint8Array[]>;

  /**
   * Checks the MACs of a batch, each against versions in order, in one trip to the token.
   *
   * @param batch at least one message with its MAC
   * @returns for each message, in order, the first version whose MAC it is
   * @throws {SigildError} KEY_NOT_FOUND, KEY_STATE_FORBIDS, ALGORITHM_UNSUPPORTED
   */
  verify(
    versions: readonly KeyVersion[],
    batch: readonly SignedData[],
    signal: Cancellation,
  ): Promise<readonly (KeyVersion | undefined)[]>;

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
