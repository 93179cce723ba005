/** An item's place in a {@link Queue}. */
export interface Place<Item> {
  readonly item: Item;
  isTaken: boolean;
  before: Place<Item> | undefined;
  after: Place<Item> | undefined;
}

/**
 * Items in the order of their arrival, any of which may leave at any time, at the same cost however
 * many there are. (A Set passes over all that have left each time that its first item is asked for.)
 */
export class Queue<Item> {
  #first: Place<Item> | undefined;
  #last: Place<Item> | undefined;

  get first(): Item | undefined {
    return this.#first?.item;
  }

  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  /** @returns the item's place, by which it leaves */
  add(item: Item): Place<Item> {
    const place: Place<Item> = { item, isTaken: true, before: this.#last, after: undefined };
    if (this.#last) this.#last.after = place;
    else this.#first = place;
    this.#last = place;
    return place;
  }

  /** @param place one of this queue; an item that has left already is passed over */
  delete(place: Place<Item>): void {
    if (!place.isTaken) return;
    place.isTaken = false;
    const { before, after } = place;
    if (before) before.after = after;
    else this.#first = after;
    if (after) after.before = before;
    else this.#last = before;
    place.before = undefined;
    place.after = undefined;
  }

  /** Takes the first item out; does nothing when there is none. */
  shift(): void {
    if (this.#first) this.delete(this.#first);
  }
}
