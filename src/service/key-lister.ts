import type { Cancellation } from '../domain/cancellation.ts';
import type { Key } from '../domain/key.ts';
import { untilAborted } from './deadline.ts';
import type { KnownKeys, ListedKeys } from './token-values.ts';
import { Turns } from './turns.ts';

/** Begins a listing, or asks for the next piece of one; both may take up to a look at every key. */
export type ListingRequest =
  | { readonly known?: KnownKeys | undefined }
  | { readonly continues: string };

/** A part of a listing, possibly empty. One of another listing than was asked for begins that one. */
export interface ListingPiece extends ListedKeys {
  readonly isLast: boolean;
}

const LISTING = 'listing';

/** Puts the pieces of listings together. One listing runs at a time, the others wait for their turn. */
export class KeyLister {
  readonly #next: (request: ListingRequest, signal: Cancellation) => Promise<ListingPiece>;
  readonly #turns = new Turns();

  constructor(next: (request: ListingRequest, signal: Cancellation) => Promise<ListingPiece>) {
    this.#next = next;
  }

  /** @throws {SigildError} as Token.listKeys */
  async list(known: KnownKeys | undefined, signal: Cancellation): Promise<ListedKeys> {
    signal.throwIfAborted();
    return untilAborted(
      this.#turns.take(LISTING, () => this.#gather(known, signal)),
      signal,
    );
  }

  async #gather(known: KnownKeys | undefined, signal: Cancellation): Promise<ListedKeys> {
    let request: ListingRequest = { known };
    let keys: Key[] = [];
    let gone: string[] = [];
    let id: string | undefined;
    for (;;) {
      signal.throwIfAborted();
      const piece = await this.#next(request, signal);
      if (piece.id !== id) [keys, gone] = [[], []];
      id = piece.id;
      keys.push(...piece.keys);
      gone.push(...piece.gone);
      if (piece.isLast) return { id, isWhole: piece.isWhole, keys, gone };
      request = { continues: id };
    }
  }
}
