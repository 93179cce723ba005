import type { Duplex } from 'node:stream';
import type { Call } from './call.ts';
import { type Frame, FrameReader, numberFrame } from './frames.ts';
import { decodeFailure, OUTCOME } from './protocol.ts';

export interface LaneEvents {
  /** Calls that it was given have been answered. */
  readonly onRoom: () => void;
  /** A call for so many MACs has been done with so much work. */
  readonly onWorked: (workedMs: number, macs: number) => void;
  /** Told once: the lane's host is of no use any more. The calls in flight are still in flight. */
  readonly onLost: (reason: Error) => void;
}

/** The front's end of one session lane. Answers come in the order of the calls. */
export class Lane {
  readonly #pipe: Duplex;
  readonly #reader = new FrameReader();
  readonly #inFlight: Call[] = [];
  #macsInFlight = 0;
  #stepsInFlight = 0;
  #nextNumber = 0;
  #oldestNumber = 0;
  #progressAtMs = 0;
  #events: LaneEvents | undefined;

  constructor(pipe: Duplex) {
    this.#pipe = pipe;
    pipe.on('data', (chunk: Buffer) => this.#receive(chunk));
    pipe.on('error', (error) => this.#lose(error));
    pipe.on('close', () => this.#lose(new Error('a session lane has closed its pipe')));
  }

  attach(events: LaneEvents): void {
    this.#events = events;
  }

  get idle(): boolean {
    return this.#inFlight.length === 0;
  }

  /**
   * How many MACs it has been asked for and not answered yet; a step counts as one. None while it does
   * nobody knows what: steps that wait for that make it no lane that others should wait for.
   */
  get macsInFlight(): number {
    const doesSomethingElse = this.#macsInFlight === 0 && !this.hasOnlySteps;
    return doesSomethingElse ? 0 : this.#macsInFlight + this.#stepsInFlight;
  }

  /** Whether all that it has are steps of messages that come in pieces. */
  get hasOnlySteps(): boolean {
    return this.#stepsInFlight === this.#inFlight.length;
  }

  /** How long ago it began to work, or answered a call. */
  sinceProgressMs(nowMs: number): number {
    return nowMs - this.#progressAtMs;
  }

  /** Gives it a batch, which travels in one write. It works on it after all that it has. */
  send(batch: readonly Call[]): void {
    if (this.idle) this.#progressAtMs = performance.now();
    for (const call of batch) {
      call.begin();
      numberFrame(call.frame, this.#nextNumber);
      this.#nextNumber = (this.#nextNumber + 1) >>> 0;
      this.#inFlight.push(call);
      this.#macsInFlight += call.macs;
      if (call.isStep) this.#stepsInFlight += 1;
    }
    const [first] = batch;
    if (first && batch.length === 1) this.#pipe.write(first.frame);
    else this.#pipe.write(Buffer.concat(batch.map((call) => call.frame)));
  }

  /** Whether the call that the token works on has taken longer than it may. */
  overdue(nowMs: number): boolean {
    const [oldest] = this.#inFlight;
    return oldest !== undefined && this.sinceProgressMs(nowMs) > oldest.limitMs;
  }

  /** Fails the call that the token works on. @returns its limit in ms */
  failOldest(error: Error): number {
    const [oldest] = this.#inFlight;
    oldest?.fail(error);
    return oldest?.limitMs ?? 0;
  }

  /** Takes back the calls that were not answered; what still comes for them is ignored. */
  abandon(): Call[] {
    this.#events = undefined;
    this.#macsInFlight = 0;
    this.#stepsInFlight = 0;
    return this.#inFlight.splice(0);
  }

  /** Tells the lane that no more calls come. */
  end(): void {
    this.#pipe.end();
  }

  #lose(reason: Error): void {
    const events = this.#events;
    this.#events = undefined;
    events?.onLost(reason);
  }

  #receive(chunk: Buffer): void {
    if (!this.#events) return;
    try {
      if (this.idle) throw new Error('an answer to no call');
      for (const frame of this.#reader.push(chunk)) this.#settle(frame);
    } catch (error) {
      this.#lose(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    this.#progressAtMs = performance.now();
    this.#events.onRoom();
  }

  #settle({ call: number, code, workedUs, payload }: Frame): void {
    if (number !== this.#oldestNumber) throw new Error(`answer ${number} out of turn`);
    // The call of a host that must not be trusted stays in flight, so that another one may take it.
    if (code === OUTCOME.lost) throw decodeFailure(payload);
    const [call] = this.#inFlight;
    if (!call) throw new Error(`answer ${number} to no call`);
    if (code === OUTCOME.done) {
      call.succeed(payload);
      this.#events?.onWorked(workedUs / 1_000, call.macs);
    } else {
      call.fail(decodeFailure(payload));
    }
    this.#inFlight.shift();
    this.#macsInFlight -= call.macs;
    if (call.isStep) this.#stepsInFlight -= 1;
    this.#oldestNumber = (this.#oldestNumber + 1) >>> 0;
  }
}
