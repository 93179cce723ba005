import type { Batch } from './lanes.ts';
import type { Carrier } from './signing-calls.ts';

/** Calls on their way to the daemon. */
export interface Frame extends Batch, Carrier {}

/**
 * The frames that are unanswered, each under a correlation id of 1 to the table's size.
 */
export class FrameTable {
  readonly #frames: (Frame | undefined)[] = [];
  readonly #freeIds: number[] = [];

  constructor(size: number) {
    for (let id = size; id >= 1; id -= 1) this.#freeIds.push(id);
  }

  get isFull(): boolean {
    return this.#freeIds.length === 0;
  }

  /** @returns its correlation id; undefined when the table is full */
  add(frame: Frame): number | undefined {
    const id = this.#freeIds.pop();
    if (id !== undefined) this.#frames[id] = frame;
    return id;
  }

  /** @returns undefined when there is none under that id */
  take(id: number): Frame | undefined {
    const frame = this.#frames[id];
    if (!frame) return undefined;
    this.#frames[id] = undefined;
    this.#freeIds.push(id);
    return frame;
  }

  /** Takes all of them. */
  takeAll(): readonly Frame[] {
    return [...this.#frames.keys()].flatMap((id) => this.take(id) ?? []);
  }
}
