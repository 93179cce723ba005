import type { Call } from './call.ts';
import { CallQueue } from './call-queue.ts';
import type { FairQueue } from './fair-queue.ts';
import type { Lane } from './lane.ts';
import { Pace } from './pace.ts';

/** What the dispatcher needs of a token host. */
export interface LaneHost {
  readonly lanes: readonly Lane[];
  /** Settles when the process has ended, with what ended it. */
  readonly exited: Promise<string>;
  /** Ends it at once; ending one that has ended does nothing. */
  kill(): void;
}

/** A lane, and the host that it is of. */
export interface Place<AnyHost extends LaneHost> {
  readonly host: AnyHost;
  readonly lane: Lane;
}

export interface LanePoolEvents<AnyHost> {
  /** A lane has room for more calls. */
  readonly onRoom: () => void;
  readonly onLost: (host: AnyHost, reason: Error) => void;
}

/** Calls wait no longer than this for a lane from which nothing is heard while others are free. */
export const STALLED_MS = 5;

/** The session lanes of the hosts that serve, and what each of them works on. */
export class LanePool<AnyHost extends LaneHost> {
  /** With the calls for each host alone. */
  readonly #hosts = new Map<AnyHost, CallQueue>();
  readonly #events: LanePoolEvents<AnyHost>;
  readonly #pace = new Pace();
  /** Calls that belong to the one lane, until it has nothing else to do. */
  readonly #pinned = new CallQueue();

  constructor(events: LanePoolEvents<AnyHost>) {
    this.#events = events;
  }

  get hosts(): readonly AnyHost[] {
    return [...this.#hosts.keys()];
  }

  /** The calls for one host alone; undefined when it does not serve. */
  ownOf(host: AnyHost): CallQueue | undefined {
    return this.#hosts.get(host);
  }

  add(host: AnyHost): void {
    this.#hosts.set(host, new CallQueue());
    for (const lane of host.lanes) {
      lane.attach({
        onRoom: this.#events.onRoom,
        onWorked: (workedMs, macs) => this.#pace.learn(workedMs, macs),
        onLost: (reason) => this.#events.onLost(host, reason),
      });
    }
  }

  /** @returns the calls that it had and had not answered; undefined when it did not serve */
  remove(host: AnyHost): Call[] | undefined {
    const own = this.#hosts.get(host);
    if (!own) return undefined;
    this.#hosts.delete(host);
    return [...host.lanes.flatMap((lane) => lane.abandon()), ...own.takeAll()];
  }

  /** Takes the calls that wait for one host or lane alone. */
  takeOwn(): Call[] {
    return [this.#pinned, ...this.#hosts.values()].flatMap((own) => own.takeAll());
  }

  /**
   * Gives calls to lanes: to as many as it is worth, and to each no more than it does soon.
   *
   * @returns whether calls wait though lanes are free
   */
  deal(waiting: FairQueue): boolean {
    const nowMs = performance.now();
    for (const [{ lanes }, own] of this.#hosts) if (own.length > 0) dealOwn(own, lanes);
    this.#dealPinned(waiting);
    let more = this.#worthwhile(waiting.macs, nowMs);
    while (waiting.length > 0) {
      const free = this.#free();
      const lane = this.#choose(free, waiting.startsLong, more > 0, nowMs);
      if (!lane) return free !== undefined;
      const fairShare = Math.ceil(waiting.macs / Math.max(1, more));
      const room = this.#pace.macsPerLane - lane.macsInFlight;
      if (lane.idle) more -= 1;
      give(waiting.take(Math.min(fairShare, room)), lane);
    }
    return false;
  }

  /** Lets the calls that belong to one lane wait for it apart, so that none waits for them. */
  #dealPinned(waiting: FairQueue): void {
    for (const call of waiting.takePinned()) this.#pinned.push(call);
    if (this.#pinned.length === 0) return;
    this.#pinned.prune();
    const lane = this.#pinnedTo();
    if (lane?.idle) give(this.#pinned.take(1), lane);
  }

  /** The lane that gets nothing else before the call that it is to get; undefined when none waits. */
  #pinnedTo(): Lane | undefined {
    return this.#pinned.length > 0 ? this.hosts[0]?.lanes[0] : undefined;
  }

  /** How many more lanes shall start to work, with so many MACs waiting. */
  #worthwhile(waitingMacs: number, nowMs: number): number {
    const lanes = this.#lanes();
    const working = lanes.filter((lane) => isWorking(lane, nowMs));
    const macs = working.reduce((sum, lane) => sum + lane.macsInFlight, waitingMacs);
    return Math.min(lanes.length, this.#pace.lanesFor(macs) - working.length);
  }

  /** @param free a lane that has nothing to do */
  #choose(
    free: Lane | undefined,
    forLong: boolean,
    mayStart: boolean,
    nowMs: number,
  ): Lane | undefined {
    // A call of unknown length has a lane for itself, and hinders nobody; but steps of messages that
    // come in pieces go past those who wait, and would keep it waiting for ever.
    if (forLong) return free ?? this.#lanes().find((lane) => lane.hasOnlySteps);
    return mayStart && free ? free : this.#leastBusy(nowMs);
  }

  /** A lane that has nothing to do, of the host that has the most of them. */
  #free(): Lane | undefined {
    let most: readonly Lane[] = [];
    const pinnedTo = this.#pinnedTo();
    for (const { lanes } of this.#hosts.keys()) {
      const idle = lanes.filter((lane) => lane.idle && lane !== pinnedTo);
      if (idle.length > most.length) most = idle;
    }
    return most.at(-1);
  }

  /** Of the lanes at work that have room the one that has the least to do. */
  #leastBusy(nowMs: number): Lane | undefined {
    const full = this.#pace.macsPerLane;
    let least: Lane | undefined;
    for (const lane of this.#lanes()) {
      const hasRoom = isWorking(lane, nowMs) && lane.macsInFlight < full;
      if (hasRoom && lane.macsInFlight < (least?.macsInFlight ?? full)) least = lane;
    }
    return least;
  }

  #lanes(): readonly Lane[] {
    const pinnedTo = this.#pinnedTo();
    return this.hosts.flatMap(({ lanes }) => lanes.filter((lane) => lane !== pinnedTo));
  }
}

/** A lane from which nothing was heard for long, or that does something else, counts as missing. */
function isWorking(lane: Lane, nowMs: number): boolean {
  return lane.macsInFlight > 0 && lane.sinceProgressMs(nowMs) <= STALLED_MS;
}

/** One call goes to each lane, behind what it has, but for a lane that does nobody knows what. */
function dealOwn(own: CallQueue, lanes: readonly Lane[]): void {
  for (const lane of lanes.toSorted((a, b) => a.macsInFlight - b.macsInFlight)) {
    if (own.length === 0) return;
    if (lane.idle || lane.macsInFlight > 0) give(own.take(1), lane);
  }
}

function give(batch: readonly Call[], lane: Lane): void {
  if (batch.length > 0) lane.send(batch);
}
