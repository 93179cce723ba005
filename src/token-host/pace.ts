import { availableParallelism } from 'node:os';

/** The work for which it is worth waking one more session lane. */
const WORTH_A_LANE_MS = 1;

/** A token that takes less for a MAC computes on this machine, or hardly waits for another. */
const FAST_MS = 0.1;

/**
 * What a lane has been given waits for all before it, and cannot be taken back. With less, lanes of a
 * slow token are idle while a frame of ten MACs or so is on its way to them.
 */
const MAX_AHEAD_MS = 24;
const MAX_AHEAD_MACS = 256;

/** How fast the estimate follows work that takes longer; it follows faster work at once. */
const SMOOTHING = 1 / 64;

/**
 * How many session lanes shall share the calls that wait.
 *
 * To wake a lane costs more than a MAC of a fast token. There a lane takes many calls at once, and
 * more lanes than processors would only wait for each other: SoftHSM 2.6 has one lock for them all.
 * A slow token works on as many calls at once as there are lanes, and one of which nothing is known
 * counts as slow.
 */
export class Pace {
  readonly #processors: number;
  #macMs: number | undefined;

  /** @param processors that this machine has */
  constructor(processors = availableParallelism()) {
    this.#processors = processors;
  }

  /** @param workedMs what a lane has taken to make so many MACs, without any waiting */
  learn(workedMs: number, macs: number): void {
    if (macs === 0) return;
    const macMs = workedMs / macs;
    const known = this.#macMs ?? macMs;
    this.#macMs = macMs < known ? macMs : known + (macMs - known) * SMOOTHING;
  }

  /** How many MACs a lane shall be asked for at one time, about. */
  get macsPerLane(): number {
    if (this.#macMs === undefined) return MAX_AHEAD_MACS;
    return Math.max(1, Math.min(MAX_AHEAD_MACS, Math.floor(MAX_AHEAD_MS / this.#macMs)));
  }

  /**
   * @param macs all that lanes work on, and all that wait
   * @returns at least 1, and more than there are where it knows of no limit
   */
  lanesFor(macs: number): number {
    const macMs = this.#macMs ?? Number.POSITIVE_INFINITY;
    const worthwhile = Math.max(1, Math.ceil((macs * macMs) / WORTH_A_LANE_MS));
    return macMs < FAST_MS ? Math.min(worthwhile, this.#processors) : worthwhile;
  }
}
