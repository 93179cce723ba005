import { randomUUID } from 'node:crypto';
import type { Key } from '../domain/key.ts';
import type { ListingPiece, ListingRequest } from '../service/key-lister.ts';
import type { KnownKeys } from '../service/token-values.ts';
import type { KeyLocations } from './key-locations.ts';
import { ObjectMemory } from './object-memory.ts';
import type { Session } from './session.ts';
import { type FoundObject, keysOf, mayBeActivated, type TokenObjects } from './token-objects.ts';

export interface KeyListingOptions {
  readonly objects: Pick<TokenObjects, 'handles' | 'handlesNamed' | 'readPresent' | 'together'>;
  readonly locations: Pick<KeyLocations, 'take' | 'complete'>;
  /** Throws unless the token works: only then it is believed to hold no keys. */
  readonly assertTokenWorks: () => void;
  readonly now?: () => number;
}

/** A piece ends after so long, but for a single call of the token's that takes longer. */
const PIECE_MS = 10;

/**
 * The first listing is not left half-way: until it has found where the keys stand, sessions search for
 * each one that they use, and such searches would hold it up.
 */
const FIRST_PIECE_MS = 5_000;

/** A piece tells of about so many keys and versions, so that its reader is not kept long either. */
const PIECE_ITEMS = 256;

interface Running {
  readonly id: string;
  readonly isWhole: boolean;
  /** Of this session. */
  readonly isFirst: boolean;
  /** Ends with the listing; gives undefined while it looks, then all that is to be told. */
  readonly steps: Iterator<Told | undefined, void>;
}

interface Told {
  readonly keys: Key[];
  readonly gone: string[];
}

/**
 * Lists the keys on the token for one caller, again and again, and in pieces, so that its session can
 * do other things in between.
 *
 * It remembers what it has read and tells what has changed since the listing before. It reads in full
 * each time only what is new and what is SUSPENDED, which another daemon may have made ACTIVE. That
 * a version may do less than it did, the token says when it is used, and copies of it are held against
 * the token as often as it is listed. What is left, a label or an id that another tool has changed
 * for instance, is seen when its turn comes: see UPDATES_PER_TURN.
 */
export class KeyListing {
  readonly #options: KeyListingOptions;
  readonly #now: () => number;
  #memory = newMemory();
  /** With which it was made: a new one comes after an error, when handles are not to be trusted. */
  #session: Session | undefined;
  #running: Running | undefined;
  #hasListed = false;
  /** The last listing, once all of it has been told. */
  #told: string | undefined;

  constructor(options: KeyListingOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /**
   * A request that names a listing of which nothing is known any more begins a whole one.
   *
   * @throws {CryptokiError}
   */
  next(session: Session, request: ListingRequest): ListingPiece {
    if (session !== this.#session) this.#forget();
    this.#session = session;
    try {
      return this.#step(this.#runningFor(request) ?? this.#begin(session, request));
    } catch (error) {
      this.#forget();
      throw error;
    }
  }

  #runningFor(request: ListingRequest): Running | undefined {
    if (!('continues' in request) || request.continues !== this.#running?.id) return undefined;
    return this.#running;
  }

  #begin(session: Session, request: ListingRequest): Running {
    const known = 'continues' in request ? undefined : request.known;
    const isWhole = known === undefined || known.listing !== this.#told;
    if (isWhole) this.#forget();
    const steps = this.#list(session, isWhole ? undefined : known);
    this.#told = undefined;
    this.#running = { id: randomUUID(), isWhole, isFirst: !this.#hasListed, steps };
    this.#hasListed = true;
    return this.#running;
  }

  #step({ id, isWhole, isFirst, steps }: Running): ListingPiece {
    const untilMs = this.#now() + (isFirst ? FIRST_PIECE_MS : PIECE_MS);
    for (;;) {
      const { done: isLast = false, value: told } = steps.next();
      if (isLast) this.#told = id;
      if (isLast || told || this.#now() >= untilMs) {
        return { id, isWhole, keys: told?.keys ?? [], gone: told?.gone ?? [], isLast };
      }
    }
  }

  *#list(session: Session, known: KnownKeys | undefined): Generator<Told | undefined, void> {
    const { objects, locations, assertTokenWorks } = this.#options;
    const source = {
      all: () => objects.handles(session),
      named: (name: string) => objects.handlesNamed(session, name),
      read: (handle: Buffer) => objects.readPresent(session, handle),
    };
    const changed = yield* this.#memory.update(source, known?.readAgain ?? []);
    if (this.#memory.isEmpty) assertTokenWorks();
    const names = [...changed].sort();
    const lookUp = (name: string) => objects.together(session, this.#memory.named(name));
    // All at once: whoever uses a key before it is told must not have to search for it.
    for (const name of names) locations.take(lookUp(name).keys);
    locations.complete();
    let told: Told = { keys: [], gone: [] };
    let items = 0;
    for (const name of names) {
      const found = lookUp(name);
      const [key] = keysOf(found);
      if (key) told.keys.push(key);
      else told.gone.push(name);
      items += 1 + found.keys.length;
      if (items < PIECE_ITEMS) continue;
      yield told;
      told = { keys: [], gone: [] };
      items = 0;
    }
    if (items > 0) yield told;
  }

  #forget(): void {
    this.#memory = newMemory();
    this.#running = undefined;
    this.#told = undefined;
  }
}

function newMemory(): ObjectMemory<FoundObject> {
  return new ObjectMemory({
    nameOf: ({ name }) => name,
    isUnsettled: mayBeActivated,
  });
}
