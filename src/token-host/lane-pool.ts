import type { Call } from './call.ts';
import { CallQueue } from './call-queue.ts';
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

interface Member {
  readonly idle: Lane[];
  /** Calls for this host alone. */
  readonly own: CallQueue;
}

export interface LanePoolEvents<AnyHost> {
  /** A lane has answered all that it was given. */
  readonly onIdle: () => void;
  readonly onLost: (host: AnyHost, reason: Error) => void;
}

/** Calls wait no longer than this for a lane from which nothing is heard while others are free. */
export const STALLED_MS = 5;

/** The session lanes of the hosts that serve, and which of them are free. */
export class LanePool<AnyHost extends LaneHost> {
  readonly #members = new Map<AnyHost, Member>();
  readonly #events: LanePoolEvents<AnyHost>;
  readonly #pace = new Pace();

  constructor(events: LanePoolEvents<AnyHost>) {
    this.#events = events;
  }

  get hosts(): readonly AnyHost[] {
    return [...this.#members.keys()];
  }

  /** The calls for one host alone; undefined when it does not serve. */
  ownOf(host: AnyHost): CallQueue | undefined {
    return this.#members.get(host)?.own;
  }

  add(host: AnyHost): void {
    const idle = [...host.lanes];
    this.#members.set(host, { idle, own: new CallQueue() });
    for (const lane of host.lanes) {
      lane.attach({
        onIdle: () => {
          idle.push(lane);
          this.#events.onIdle();
        },
        onWorked: (workedMs, macs) => this.#pace.learn(workedMs, macs),
        onLost: (reason) => this.#events.onLost(host, reason),
      });
    }
  }

  /** @returns the calls that it had and had not answered; undefined when it did not serve */
  remove(host: AnyHost): Call[] | undefined {
    const own = this.#members.get(host)?.own;
    if (!own) return undefined;
    this.#members.delete(host);
    return [...host.lanes.flatMap((lane) => lane.abandon()), ...own.takeAll()];
  }

  /** Takes the calls that wait for one host alone. */
  takeOwn(): Call[] {
    return [...this.#members.values()].flatMap(({ own }) => own.takeAll());
  }

  /**
   * Gives calls to free lanes: to as many as it is worth.
   *
   * @returns whether calls wait though lanes are free
   */
  deal(waiting: CallQueue): boolean {
    for (const { idle, own } of this.#members.values()) {
      while (own.length > 0 && idle.length > 0) give(own.take(1), idle);
    }
    const worthwhile = this.#worthwhile(waiting.macs);
    for (let left = worthwhile; waiting.length > 0; left -= 1) {
      const idle = this.#mostIdle();
      if (idle.length === 0) return false;
      // A call of unknown length hinders no other one, whatever the pace.
      if (left <= 0 && !waiting.startsLong) return true;
      const fairShare = Math.ceil(waiting.macs / Math.max(1, left));
      give(waiting.take(Math.min(fairShare, this.#pace.macsPerBatch)), idle);
    }
    return false;
  }

  /** How many more lanes shall work, with so many MACs waiting. */
  #worthwhile(waitingMacs: number): number {
    const nowMs = performance.now();
    let lanes = 0;
    let working = 0;
    let macs = waitingMacs;
    for (const host of this.#members.keys()) {
      lanes += host.lanes.length;
      for (const lane of host.lanes) {
        if (lane.macsInFlight === 0 || lane.sinceProgressMs(nowMs) > STALLED_MS) continue;
        working += 1;
        macs += lane.macsInFlight;
      }
    }
    return Math.min(lanes, this.#pace.lanesFor(macs) - working);
  }

  /** The free lanes of the host that has the most of them. */
  #mostIdle(): Lane[] {
    let most: Lane[] = [];
    for (const { idle } of this.#members.values()) if (idle.length > most.length) most = idle;
    return most;
  }
}

function give(batch: readonly Call[], idle: Lane[]): void {
  if (batch.length > 0) idle.pop()?.send(batch);
}
