import { isDeepStrictEqual } from 'node:util';
import type { Handle } from './attributes.ts';

/** Where things are read from. Its methods throw CryptokiErrors. */
export interface ObjectSource<Thing> {
  /** Every object that may be such a thing. */
  all(): readonly Handle[];
  /** Those of one name. */
  named(name: string): readonly Handle[];
  /** @returns undefined for an object that is no such thing, or has gone */
  read(handle: Handle): Thing | undefined;
}

export interface ObjectMemoryOptions<Thing> {
  readonly nameOf: (thing: Thing) => string;
  /** Whether it has to be read each time. */
  readonly isUnsettled: (thing: Thing) => boolean;
}

/** In so many updates every object is read again, in each about as many. */
export const UPDATES_PER_TURN = 16;

interface Entry<Thing> {
  readonly handle: Handle;
  /** In which update of each turn it is read. */
  readonly turn: number;
  thing: Thing | undefined;
  /** The numbers of updates; 0 for none. */
  foundIn: number;
  readIn: number;
}

/**
 * What was read of the objects on a token, by handle, so that it is not all read again to see what has
 * changed: SoftHSM 2.6 needs several times as long to read an object as to find it.
 *
 * Handles mean something in one process and one login alone, and so does this memory.
 */
export class ObjectMemory<Thing> {
  readonly #options: ObjectMemoryOptions<Thing>;
  readonly #entries = new Map<string, Entry<Thing>>();
  readonly #named = new Map<string, Set<Entry<Thing>>>();
  #update = 0;
  /** How many objects it has met. */
  #met = 0;

  constructor(options: ObjectMemoryOptions<Thing>) {
    this.#options = options;
  }

  /** Whether it holds nothing at all. */
  get isEmpty(): boolean {
    return this.#named.size === 0;
  }

  /** The things of one name. */
  named(name: string): readonly Thing[] {
    return [...(this.#named.get(name) ?? [])].flatMap(({ thing }) => thing ?? []);
  }

  /**
   * Brings itself up to date, one object a step: it reads what is new or unsettled, and a part of the
   * rest. Where something of a name has changed it reads all of that name, so that those belong
   * together.
   *
   * One that was not run to its end has been in vain: the names that it has found are lost.
   *
   * @param readAgain names of which all is read, and which count as changed
   * @returns the names of which something has come, gone or changed
   */
  *update(
    source: ObjectSource<Thing>,
    readAgain: readonly string[],
  ): Generator<undefined, ReadonlySet<string>> {
    this.#update += 1;
    const changed = new Set<string>();
    for (const entry of this.#find(source.all())) {
      if (!this.#isDue(entry)) continue;
      this.#read(entry, source, changed);
      yield;
    }
    this.#dropLost(changed);
    for (const name of readAgain) {
      // What is not known under its name may be known under the one that it had before.
      if (!this.#named.has(name)) yield* this.#readEach(source.named(name), source, changed);
      changed.add(name);
    }
    // What it reads may have got another name, which then comes in turn.
    for (const name of changed) {
      const handles = [...(this.#named.get(name) ?? [])].map(({ handle }) => handle);
      yield* this.#readEach(handles, source, changed);
    }
    return changed;
  }

  *#find(handles: readonly Handle[]): Generator<Entry<Thing>> {
    for (const handle of handles) {
      const id = handle.toString('hex');
      const entry = this.#entries.get(id) ?? this.#meet(handle);
      entry.foundIn = this.#update;
      this.#entries.set(id, entry);
      yield entry;
    }
  }

  #meet(handle: Handle): Entry<Thing> {
    this.#met += 1;
    const turn = this.#met % UPDATES_PER_TURN;
    return { handle, turn, thing: undefined, foundIn: 0, readIn: 0 };
  }

  #isDue({ thing, turn, readIn }: Entry<Thing>): boolean {
    if (readIn === 0 || this.#update % UPDATES_PER_TURN === turn) return true;
    return thing !== undefined && this.#options.isUnsettled(thing);
  }

  *#readEach(
    handles: readonly Handle[],
    source: ObjectSource<Thing>,
    changed: Set<string>,
  ): Generator<undefined, void> {
    for (const entry of this.#find(handles)) {
      if (entry.readIn === this.#update) continue;
      this.#read(entry, source, changed);
      yield;
    }
  }

  #read(entry: Entry<Thing>, source: ObjectSource<Thing>, changed: Set<string>): void {
    const thing = source.read(entry.handle);
    entry.readIn = this.#update;
    if (!isDeepStrictEqual(thing, entry.thing)) this.#set(entry, thing, changed);
  }

  #dropLost(changed: Set<string>): void {
    for (const [id, entry] of this.#entries) {
      if (entry.foundIn === this.#update) continue;
      this.#set(entry, undefined, changed);
      this.#entries.delete(id);
    }
  }

  #set(entry: Entry<Thing>, thing: Thing | undefined, changed: Set<string>): void {
    const { nameOf } = this.#options;
    if (entry.thing !== undefined) {
      const name = nameOf(entry.thing);
      changed.add(name);
      const others = this.#named.get(name);
      others?.delete(entry);
      if (others?.size === 0) this.#named.delete(name);
    }
    entry.thing = thing;
    if (thing === undefined) return;
    const name = nameOf(thing);
    changed.add(name);
    this.#named.set(name, (this.#named.get(name) ?? new Set()).add(entry));
  }
}
