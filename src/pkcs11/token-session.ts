import type { SigildError } from '../domain/errors.ts';
import type { Fingerprint, Proven } from '../domain/fingerprint.ts';
import type { Key, VersionRef } from '../domain/key.ts';
import type { TokenFacts } from '../domain/token-info.ts';
import type { AdoptRule } from '../domain/token-options.ts';
import type { ListingPiece, ListingRequest } from '../service/key-lister.ts';
import { Canary } from './canary.ts';
import { CryptokiError, toSigildError } from './ck-rv.ts';
import type { DirectoryEntry } from './key-directory.ts';
import { KeyListing } from './key-listing.ts';
import type { KeyLocations } from './key-locations.ts';
import type { KeyObjects } from './key-objects.ts';
import { LoadedKeys, type SignedBytes } from './loaded-keys.ts';
import { CANARY_REPEATS, ReopenedSession } from './reopened-session.ts';
import type { Session, Slot } from './session.ts';
import { readTokenFacts } from './token-facts.ts';
import { TokenLost } from './token-lost.ts';
import { type FoundObjects, keysOf, TokenObjects } from './token-objects.ts';
import type { WarmKeysOptions } from './warm-keys.ts';

export interface TokenSessionOptions {
  readonly slot: Slot;
  readonly adopt: readonly AdoptRule[];
  /** The canary key's MAC, which was made when this process logged in. */
  readonly canaryMac: Buffer;
  /** Shared with the other sessions of this process. */
  readonly locations: KeyLocations;
  /** How to sign with copies of keys; undefined to sign with the keys themselves. */
  readonly warmKeys: WarmKeysOptions | undefined;
}

/** What is done with a session and the keys that it sees. */
type Operate<Result> = (session: Session, objects: KeyObjects) => Result;

/** What is done with keys. @param load gives a key that is ready for use */
type UseKeys<Result> = (
  session: Session,
  load: (ref: VersionRef) => DirectoryEntry,
  keys: LoadedKeys,
) => Result;

/**
 * One PKCS#11 session and what is done with it. Every call blocks.
 *
 * 1. One thread owns a TokenSession, so no operation ever meets another one on its session.
 * 2. After every failed call ck-rv.ts decides whether the session lives. One that does not is
 *    closed at once and a new one opened for the next call.
 * 3. A missing key is believed only when the canary key signs at that moment. When it does not,
 *    or the login is gone, a {@link TokenLost} says that this process is of no use any more.
 */
export class TokenSession {
  readonly #slot: Slot;
  readonly #sessions: ReopenedSession;
  readonly #objects: TokenObjects;
  readonly #canary: Canary;
  readonly #locations: KeyLocations;
  readonly #keys: LoadedKeys;
  readonly #listing: KeyListing;

  constructor({ slot, adopt, canaryMac, locations, warmKeys }: TokenSessionOptions) {
    this.#slot = slot;
    // Copies of keys and agreed keys go with their session.
    this.#sessions = new ReopenedSession(slot, () => this.#keys.forgetCopies());
    this.#objects = new TokenObjects(adopt);
    this.#canary = new Canary(canaryMac);
    this.#locations = locations;
    const shared = { locations, assertTokenWorks: () => this.probe() };
    this.#keys = new LoadedKeys({ ...shared, objects: this.#objects.keys, warmKeys });
    this.#listing = new KeyListing({ ...shared, objects: this.#objects });
  }

  /**
   * Does something that may have been done when it fails, and so is not tried again.
   *
   * @param what for the error, as in "creating key webhooks"
   * @throws {SigildError}
   */
  once<Result>(what: string, operate: Operate<Result>): Result {
    return this.answer(what, () =>
      this.#sessions.once((session) => operate(session, this.#objects.keys)),
    );
  }

  /** As {@link once}, for what may be done twice. @throws {SigildError} */
  repeatable<Result>(what: string, operate: Operate<Result>): Result {
    return this.answer(what, () =>
      this.#sessions.repeatable((session) => operate(session, this.#objects.keys)),
    );
  }

  /** Opens the session now, rather than with the first call. @throws {SigildError} */
  open(): void {
    this.answer('opening a session', () => this.#sessions.once(() => undefined));
  }

  /** @throws {SigildError} as Token.findKey */
  findKey(name: string): Key | undefined {
    return keysOf(this.find(name))[0];
  }

  /** All that stands under a name. @throws {SigildError} as Token.findKey */
  find(name: string): FoundObjects {
    return this.answer(`looking for key ${name}`, () => {
      const found = this.#sessions.repeatable((session) => this.#objects.named(session, name));
      this.#locations.take(found.keys);
      if (found.keys.length === 0) this.probe();
      return found;
    });
  }

  /** The next piece of a listing. @throws {SigildError} as Token.listKeys */
  listKeys(request: ListingRequest): ListingPiece {
    return this.answer('listing keys', () =>
      this.#sessions.repeatable((session) => this.#listing.next(session, request)),
    );
  }

  /** The next use of a version looks at the key itself, and makes a new copy of it. */
  forgetVersion(ref: VersionRef): void {
    this.#keys.forget(this.#sessions.open, ref);
  }

  /** @throws {SigildError} as Token.sign */
  sign(ref: VersionRef, batch: readonly Buffer[], digests = false): Proven<Buffer[]> {
    return this.withKeys('signing', [ref], (session, load) =>
      this.#keys.sign(session, ref, load(ref), batch, digests),
    );
  }

  /**
   * @returns for each message the index of the first version whose MAC or signature it is, or -1
   * @throws {SigildError} as Token.verify
   */
  verify(
    refs: readonly VersionRef[],
    batch: readonly SignedBytes[],
    digests = false,
  ): Proven<number[]> {
    return this.withKeys('verifying', refs, (session, load) =>
      batch.map((signed) =>
        refs.findIndex((ref) => this.#keys.matches(session, ref, load(ref), signed, digests)),
      ),
    );
  }

  /** @returns each version's SubjectPublicKeyInfo @throws {SigildError} as Token.publicKeys */
  publicKeys(refs: readonly VersionRef[]): Proven<Buffer[]> {
    return this.withKeys('reading public keys', refs, (_session, load) =>
      refs.map((ref) => this.#keys.publicKey(load(ref))),
    );
  }

  /**
   * Does something with keys that are loaded for it where they are not yet. It may be done twice.
   *
   * @param action for the error, as in "signing"
   * @throws {SigildError}
   */
  withKeys<Result>(
    action: string,
    refs: readonly VersionRef[],
    operate: UseKeys<Result>,
  ): Proven<Result> {
    const run = (session: Session): Proven<Result> => {
      const fingerprints: Fingerprint[] = [];
      const load = (ref: VersionRef) => this.#keys.load(session, ref, fingerprints);
      try {
        return { result: operate(session, load, this.#keys), fingerprints };
      } catch (error) {
        if (!(error instanceof CryptokiError)) throw error;
        for (const ref of refs) this.#keys.forget(session, ref);
        throw error;
      }
    };
    return this.answer(`${action} with key ${refs[0]?.key}`, () => this.#sessions.repeatable(run));
  }

  /** Makes a MAC with the canary key. @throws {TokenLost} when the token cannot */
  probe(): void {
    try {
      const sign = (session: Session) => this.#canary.sign(session);
      if (this.#sessions.repeatable(sign, CANARY_REPEATS)) return;
    } catch (error) {
      if (!(error instanceof CryptokiError)) throw error;
      throw new TokenLost(`the canary key does not sign: ${error.message}`, error);
    }
    throw new TokenLost('the canary key is gone from the token');
  }

  /** The keys that it takes to find out go with the session. @throws {SigildError} */
  describe(): TokenFacts {
    const read = () => readTokenFacts(this.#slot, (work) => this.#sessions.once(work));
    try {
      return this.answer('looking at the token', read);
    } finally {
      this.close();
    }
  }

  close(): void {
    this.#sessions.close();
  }

  /** Does work for a caller, who is told of its failure in his own words. */
  answer<Result>(what: string, work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof CryptokiError)) throw error;
      throw this.#failure(error, what);
    }
  }

  /** What the caller of a failed operation gets, after asking the canary where the verdict says so. */
  #failure(error: CryptokiError, what: string): SigildError {
    const { next } = error.verdict;
    if (next === 'replace-host' || next === 'wrong-pin') {
      return new TokenLost(`${what}: ${error.message}`, error);
    }
    if (next === 'check-canary' || next === 'find-again') this.probe();
    return toSigildError(error, what);
  }
}
