import type { Algorithm } from '../domain/algorithm.ts';
import type { Key } from '../domain/key.ts';
import type { WrappedKey } from '../domain/key-import.ts';
import type { KeyRecord, KeySettings } from '../domain/key-record.ts';

// What the methods of the port in ports.ts take and give, beside what src/domain has.

/** A version as it shall stand on the token. */
export interface NewKey {
  readonly name: string;
  readonly algorithm: Algorithm;
  /** The version's id, chosen before the token is asked: see domain/version-id.ts. */
  readonly id: Uint8Array;
  /** Of the key that begins with this version; absent for the default ones. */
  readonly settings?: KeySettings | undefined;
  /** The key itself, from outside; undefined to have the token generate it. */
  readonly wrapped?: WrappedKey | undefined;
}

/** What the token is to be used for. */
export type Intent =
  | {
      readonly use: 'make-key';
      readonly algorithm: Algorithm;
      /** The new key's. */
      readonly name: string;
    }
  | { readonly use: 'make-version' | 'sign'; readonly algorithm: Algorithm };

/**
 * What becomes of a record, of which undefined is given when there is none yet. It may be asked
 * several times, also of what it has made itself, and may throw a SigildError.
 *
 * @returns undefined to leave everything as it is
 */
export type RecordChange = (current: KeyRecord | undefined) => KeyRecord | undefined;

/** A message and what is said to be its MAC or signature, of any length. */
export interface SignedData {
  readonly data: Uint8Array;
  readonly mac: Uint8Array;
}

/** What a caller knows of the keys on the token. */
export interface KnownKeys {
  /** The id of the listing that told him. */
  readonly listing: string;
  /** Names of keys that he knows from elsewhere since, to be told in any case. */
  readonly readAgain: readonly string[];
}

/** What a listing tells of the keys on the token. */
export interface ListedKeys {
  /** Names this listing to later ones. */
  readonly id: string;
  /** Whether it has every key, and each was read for it; else it tells what has changed. */
  readonly isWhole: boolean;
  /** In byte order of names. */
  readonly keys: readonly Key[];
  /** Names of which no key is left. A whole listing just leaves them out. */
  readonly gone: readonly string[];
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
