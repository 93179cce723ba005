import { Batch } from './batch.ts';
import type { Call } from './call.ts';
import { CallQueue } from './call-queue.ts';

/**
 * What a client gets in a turn while others wait. A frame of the client library has as many; less would
 * only make turns of several rounds.
 */
const QUANTUM_MACS = 128;

/** The calls of one client, in order of arrival. */
interface Share {
  readonly client: string | undefined;
  calls: Call[];
  /** What it may still take in this turn, and what it has saved for a call that is worth several. */
  credit: number;
  hasTurn: boolean;
}

/**
 * Calls that wait for a session lane: those of one client in order of arrival, and the clients by
 * deficit round robin, where a call counts as many as it asks for MACs. So a client that has much
 * waiting makes another wait for one turn of its own, and where one client alone waits, nothing is
 * different from a queue.
 *
 * What sigild itself asks for counts as a client's. Calls that a lost host gave back come first.
 */
export class FairQueue {
  readonly #returned = new CallQueue();
  readonly #shares = new Map<string | undefined, Share>();
  /** Those with calls; the first one is next. */
  readonly #turns: Share[] = [];
  #length = 0;
  #macs = 0;
  #pinned: Call[] = [];

  get length(): number {
    return this.#pinned.length + this.#returned.length + this.#length;
  }

  /** What all that wait ask for together. */
  get macs(): number {
    return this.#returned.macs + this.#macs;
  }

  /** Whether the call that is next is one of unknown length. */
  get startsLong(): boolean {
    if (this.#returned.length > 0) return this.#returned.startsLong;
    return this.#next()?.calls[0]?.macs === 0;
  }

  push(call: Call): void {
    if (call.pinned) this.#pinned.push(call);
    else this.#pushShared(call);
  }

  /** Puts calls in front of all that wait. */
  pushFront(calls: readonly Call[]): void {
    this.#pinned.unshift(...calls.filter((call) => call.pinned));
    this.#returned.pushFront(calls.filter((call) => !call.pinned));
  }

  /**
   * Takes the calls that are next, without those whose callers have gone, as {@link CallQueue.take}.
   *
   * @param macs about how many the batch shall ask for
   * @returns at least one call, unless all callers have gone
   */
  take(macs: number): Call[] {
    const batch = new Batch(macs);
    this.#returned.moveTo(batch);
    for (let share = this.#next(); share && !batch.isFull; share = this.#next()) {
      this.#serve(share, batch);
    }
    return batch.calls;
  }

  /** Takes those that belong to one lane, also those whose callers have gone. */
  takePinned(): Call[] {
    return this.#pinned.splice(0);
  }

  /**
   * Takes the last call of the client that has most waiting, for one of this client.
   *
   * @returns undefined where that would not make their shares more equal
   */
  displaceFor(client: string | undefined): Call | undefined {
    const [first] = this.#turns;
    if (!first) return undefined;
    const most = this.#turns.reduce((a, b) => (b.calls.length > a.calls.length ? b : a), first);
    const own = this.#shares.get(client)?.calls.length ?? 0;
    if (most.calls.length < own + 2) return undefined;
    const call = most.calls.pop();
    if (call) this.#forget([call]);
    return call;
  }

  /** Takes all, also those whose callers have gone. */
  takeAll(): Call[] {
    const calls = this.#turns.splice(0).flatMap((share) => share.calls);
    this.#shares.clear();
    this.#forget(calls);
    return [...this.takePinned(), ...this.#returned.takeAll(), ...calls];
  }

  /** Lets go of the calls whose callers have gone. */
  prune(): void {
    this.#pinned = this.#pinned.filter((call) => !call.settled);
    this.#returned.prune();
    for (const share of [...this.#turns]) {
      const gone = share.calls.filter((call) => call.settled);
      if (gone.length === 0) continue;
      share.calls = share.calls.filter((call) => !call.settled);
      this.#forget(gone);
      this.#remove(share, 0);
    }
  }

  #pushShared(call: Call): void {
    let share = this.#shares.get(call.client);
    if (!share) {
      share = { client: call.client, calls: [], credit: 0, hasTurn: false };
      this.#shares.set(call.client, share);
      this.#turns.push(share);
    }
    share.calls.push(call);
    this.#length += 1;
    this.#macs += call.macs;
  }

  /** The client whose turn it is, and who can afford the first call that it has. */
  #next(): Share | undefined {
    for (let share = this.#turns[0]; share; share = this.#turns[0]) {
      const live = share.calls.findIndex((call) => !call.settled);
      this.#remove(share, live < 0 ? share.calls.length : live);
      const [first] = share.calls;
      if (!first) continue;
      if (!share.hasTurn) share.credit += QUANTUM_MACS;
      share.hasTurn = true;
      if (costOf(first) <= share.credit) return share;
      share.hasTurn = false;
      this.#turns.push(...this.#turns.splice(0, 1));
    }
    return undefined;
  }

  /** Moves calls to a batch, until it is full or the client cannot afford the next one. */
  #serve(share: Share, batch: Batch): void {
    let taken = 0;
    for (const call of share.calls) {
      if (!call.settled) {
        if (costOf(call) > share.credit || !batch.add(call)) break;
        share.credit -= costOf(call);
      }
      taken += 1;
    }
    this.#remove(share, taken);
  }

  /** Removes the first calls of a client, and the client with its last one. */
  #remove(share: Share, taken: number): Call[] {
    const calls = share.calls.splice(0, taken);
    this.#forget(calls);
    if (share.calls.length > 0) return calls;
    this.#turns.splice(this.#turns.indexOf(share), 1);
    this.#shares.delete(share.client);
    return calls;
  }

  #forget(calls: readonly Call[]): void {
    this.#length -= calls.length;
    for (const call of calls) this.#macs -= call.macs;
  }
}

/** What one of unknown length takes nobody knows, so that it is a turn. */
function costOf({ macs }: Call): number {
  return macs === 0 ? QUANTUM_MACS : macs;
}
