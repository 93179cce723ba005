import { type Place, Queue } from './queue.ts';
import type { SigningCall, Target } from './signing-calls.ts';

/** The most items of a frame. */
export const MAX_FRAME_ITEMS = 128;

/** The most bytes of a frame's items. */
export const MAX_FRAME_BYTES = 256 * 1024;

/** With more lanes, those in which nobody waits are forgotten. */
const MAX_IDLE_LANES = 1_000;

/** Calls that leave together. */
export interface Batch {
  readonly target: Target;
  readonly calls: readonly SigningCall[];
}

interface Lane {
  readonly target: Target;
  readonly calls: Queue<SigningCall>;
  /** Whether it has its turn. */
  isBusy: boolean;
}

/** The calls that wait to be sent, in a lane for each target. */
export class Lanes {
  // A Map whose entries come and go all the time is dear: V8 keeps each of its former tables until
  // all memory is searched, with what was in them.
  readonly #lanes = new Map<string, Lane>();
  /** Those in which a call waits, in the order of their turns, and some in which none does any more. */
  readonly #busy: Lane[] = [];

  /** @returns the call's place, by which it leaves */
  add(call: SigningCall): Place<SigningCall> {
    const lane = this.#lanes.get(call.target.id) ?? this.#open(call.target);
    if (!lane.isBusy) {
      lane.isBusy = true;
      this.#busy.push(lane);
    }
    return lane.calls.add(call);
  }

  delete(place: Place<SigningCall>): void {
    this.#lanes.get(place.item.target.id)?.calls.delete(place);
  }

  /**
   * Takes the oldest calls of one lane, of each lane in its turn.
   *
   * @returns undefined when none waits
   */
  take(): Batch | undefined {
    for (let lane = this.#busy.shift(); lane; lane = this.#busy.shift()) {
      const { target } = lane;
      const calls = takeFrom(lane.calls);
      lane.isBusy = !lane.calls.isEmpty;
      if (lane.isBusy) this.#busy.push(lane);
      if (calls.length > 0) return { target, calls };
    }
    return undefined;
  }

  #open(target: Target): Lane {
    if (this.#lanes.size >= MAX_IDLE_LANES) this.#forgetIdle();
    const lane = { target, calls: new Queue<SigningCall>(), isBusy: false };
    this.#lanes.set(target.id, lane);
    return lane;
  }

  #forgetIdle(): void {
    for (const [id, { isBusy }] of this.#lanes) if (!isBusy) this.#lanes.delete(id);
  }
}

function takeFrom(lane: Queue<SigningCall>): readonly SigningCall[] {
  const taken: SigningCall[] = [];
  let maxItems = MAX_FRAME_ITEMS;
  let bytes = 0;
  for (let call = lane.first; call; call = lane.first) {
    maxItems = Math.min(maxItems, call.maxFrameItems);
    bytes += call.data.byteLength + (call.signature?.byteLength ?? 0);
    const isFull = taken.length >= maxItems || bytes > MAX_FRAME_BYTES;
    if (isFull && taken.length > 0) break;
    lane.shift();
    taken.push(call);
  }
  return taken;
}
