import { createHash } from 'node:crypto';
import { type VersionRef, versionName } from '../domain/key.ts';
import type { Handle } from './attributes.ts';

/** Where a version was found. */
export interface Location {
  readonly version: VersionRef;
  readonly handle: Handle;
}

const SLOTS = 65_536;

/** A version stands in one of so many slots, from the one on that its tag names. */
const REACH = 16;

/** A slot is a version's tag and an object's handle, of 8 bytes each. */
const SLOT_WORDS = 2;
const WORD_BYTES = 8;

/** Behind the slots: not 0 once all keys have been found. */
const COMPLETE = SLOTS * SLOT_WORDS;

/** A slot that was never used has this tag; CK_INVALID_HANDLE is the same number. */
const NONE = 0n;

/**
 * Where keys were found on the token: what all threads of a process know together, as handles are
 * good in the whole process and in no other.
 *
 * Its size is fixed, at 1 MiB. Of more keys than it has room for it forgets some.
 *
 * It saves a search and says nothing about the key. Threads write to it without a lock, and a key
 * may have gone since it was found: whoever takes a handle from here reads the object's own name
 * before using it.
 */
export class KeyLocations {
  /** To be given to the other threads of the process. */
  readonly memory: SharedArrayBuffer;
  readonly #words: BigUint64Array;

  /** @param memory of another thread's, to share it; left out, nothing is known yet */
  constructor(memory = new SharedArrayBuffer((COMPLETE + 1) * WORD_BYTES)) {
    this.memory = memory;
    this.#words = new BigUint64Array(memory);
  }

  get(version: VersionRef): Handle | undefined {
    const tag = tagOf(version);
    const slot = this.#slotOf(tag);
    const word = Atomics.load(this.#words, slot + 1);
    if (word === NONE || Atomics.load(this.#words, slot) !== tag) return undefined;
    const handle = Buffer.alloc(WORD_BYTES);
    handle.writeBigUInt64LE(word);
    return handle;
  }

  /**
   * Takes in all that one search has found. A version that several objects claim is forgotten, so
   * that whoever wants to use it finds them all.
   */
  take(found: readonly Location[]): void {
    const handles = new Map<bigint, Handle | undefined>();
    for (const { version, handle } of found) {
      const tag = tagOf(version);
      handles.set(tag, handles.has(tag) ? undefined : handle);
    }
    for (const [tag, handle] of handles) this.#set(tag, handle);
  }

  /** To be called when a search for all keys has been taken in. */
  complete(): void {
    Atomics.store(this.#words, COMPLETE, 1n);
  }

  /** Whether any thread has found all keys that there were then. */
  get isComplete(): boolean {
    return Atomics.load(this.#words, COMPLETE) === 1n;
  }

  forget(version: VersionRef): void {
    this.#set(tagOf(version), undefined);
  }

  #set(tag: bigint, handle: Handle | undefined): void {
    const slot = this.#slotOf(tag);
    // A CK_ULONG has 4 bytes on Windows, where every key is searched for.
    const isUsable = handle?.byteLength === WORD_BYTES;
    if (isUsable) Atomics.store(this.#words, slot, tag);
    else if (Atomics.load(this.#words, slot) !== tag) return;
    Atomics.store(this.#words, slot + 1, isUsable ? handle.readBigUInt64LE() : NONE);
  }

  /** The tag's own slot, else the one that it would get. */
  #slotOf(tag: bigint): number {
    const first = Number(tag % BigInt(SLOTS));
    let free: number | undefined;
    for (let offset = 0; offset < REACH; offset++) {
      const slot = ((first + offset) % SLOTS) * SLOT_WORDS;
      const found = Atomics.load(this.#words, slot);
      if (found === tag) return slot;
      if (Atomics.load(this.#words, slot + 1) === NONE) free ??= slot;
      if (found === NONE) break;
    }
    return free ?? first * SLOT_WORDS;
  }
}

/** As good as no two versions have one tag; those that had would cost each other searches. */
function tagOf(version: VersionRef): bigint {
  return createHash('sha256').update(versionName(version)).digest().readBigUInt64LE();
}
