import { SigildError } from '../domain/errors.ts';
import { Call, type CallOptions, HostLost } from './call.ts';
import type { Host } from './host.ts';
import type { Lane } from './lane.ts';

/** What the dispatcher needs of a token host. */
export interface LaneHost {
  readonly lanes: readonly Lane[];
  /** Settles when the process has ended, with what ended it. */
  readonly exited: Promise<string>;
  /** Ends it at once; ending one that has ended does nothing. */
  kill(): void;
}

export interface DispatcherOptions<AnyHost extends LaneHost> {
  /** How many calls may wait for a lane, beside those that a lost host gave back. */
  readonly maxWaiting: number;
  /**
   * Told when a host is of no use any more; it has been killed, and its lanes get no more calls.
   * Not told after {@link Dispatcher.close}.
   */
  readonly onHostLost: (host: AnyHost, reason: Error) => void;
}

interface Serving<AnyHost extends LaneHost> {
  readonly host: AnyHost;
  readonly idle: Lane[];
  /** Calls for this host alone. */
  readonly own: Call[];
}

/** The most calls of one batch: what is at its end waits for all before it. */
const MAX_BATCH_CALLS = 32;
const MAX_BATCH_BYTES = 256 * 1024;

/** How often lanes are looked at for calls that hang. */
const HANG_CHECK_MS = 100;

const SATURATED_RETRY_MS = 100;
const UNAVAILABLE_RETRY_MS = 1_000;

/**
 * Gives calls to session lanes.
 *
 * 1. A lane has one batch at a time. Calls that arrive while all lanes are busy wait, in order of
 *    arrival, and share the next free lane's batch: each lane takes its fair part of those waiting,
 *    so that a slow token works on as many as it has sessions.
 * 2. Among free lanes one of the least busy host is chosen.
 * 3. A call whose caller has gone leaves the queue. One that is with a lane already runs on.
 * 4. When a host is lost, calls that may be repeated go to the head of the queue, once.
 */
export class Dispatcher<AnyHost extends LaneHost = Host> {
  readonly #maxWaiting: number;
  readonly #onHostLost: DispatcherOptions<AnyHost>['onHostLost'];
  readonly #serving = new Map<AnyHost, Serving<AnyHost>>();
  readonly #hangCheck: NodeJS.Timeout;
  #waiting: Call[] = [];
  #pumpScheduled = false;
  #refusal: (() => SigildError) | undefined;
  #closed = false;

  constructor({ maxWaiting, onHostLost }: DispatcherOptions<AnyHost>) {
    this.#maxWaiting = maxWaiting;
    this.#onHostLost = onHostLost;
    // After the pipes have been read: when this process itself was stopped for a while, the answers
    // wait in them, and no host has hung.
    const check = () => setImmediate(() => this.#killHungHosts());
    this.#hangCheck = setInterval(check, HANG_CHECK_MS).unref();
  }

  /** The hosts that take calls. */
  get hosts(): readonly AnyHost[] {
    return [...this.#serving.keys()];
  }

  /**
   * @returns the payload of the lane's answer
   * @throws {SigildError} POOL_SATURATED, TOKEN_UNAVAILABLE, SHUTTING_DOWN, {@link HostLost},
   *   `signal.reason`, and what the lane answers
   */
  async submit(frame: Buffer, options: CallOptions): Promise<Buffer> {
    this.#assertServing(options.signal);
    if (this.#isFull()) throw saturated(this.#maxWaiting);
    const call = new Call(frame, options);
    this.#waiting.push(call);
    this.#schedulePump();
    return call.answer;
  }

  /**
   * As {@link submit}, but on this host, ahead of all that wait and whatever their number: its
   * callers keep their own number small.
   */
  async submitTo(host: AnyHost, frame: Buffer, options: CallOptions): Promise<Buffer> {
    this.#assertServing(options.signal);
    const serving = this.#serving.get(host);
    if (!serving) throw new HostLost('the token host has gone');
    const call = new Call(frame, options);
    serving.own.push(call);
    this.#schedulePump();
    return call.answer;
  }

  /** Gives calls to this host too; one that comes after {@link close} is killed. */
  addHost(host: AnyHost): void {
    if (this.#closed) {
      host.kill();
      return;
    }
    const serving: Serving<AnyHost> = { host, idle: [...host.lanes], own: [] };
    this.#serving.set(host, serving);
    this.#refusal = undefined;
    for (const lane of host.lanes) {
      lane.attach({
        onIdle: () => {
          serving.idle.push(lane);
          this.#schedulePump();
        },
        onLost: (reason) => this.loseHost(host, reason),
      });
    }
    void host.exited.then((how) => this.loseHost(host, new Error(`the token host ${how}`)));
    this.#schedulePump();
  }

  /** Kills a host; its calls go elsewhere, or fail, once it has ended. */
  loseHost(host: AnyHost, reason: Error): void {
    const serving = this.#serving.get(host);
    if (!serving) return;
    this.#serving.delete(host);
    host.kill();
    const calls = [...host.lanes.flatMap((lane) => lane.abandon()), ...serving.own.splice(0)];
    // Only when the process has ended is it certain that it does no more of them.
    void host.exited.then(() => this.#redistribute(calls, reason));
    if (!this.#closed) this.#onHostLost(host, reason);
  }

  /** Fails what waits and all that comes, until a host is there. */
  failFast(message: string): void {
    if (this.#closed) return;
    this.#refuse(
      () => new SigildError('TOKEN_UNAVAILABLE', message, { retryAfterMs: UNAVAILABLE_RETRY_MS }),
    );
  }

  /**
   * Fails what waits and all that comes, for good. Calls that are with a lane are answered as long
   * as their host runs.
   *
   * @returns the hosts, which are the caller's to stop
   */
  close(): readonly AnyHost[] {
    this.#closed = true;
    clearInterval(this.#hangCheck);
    this.#refuse(
      () => new SigildError('SHUTTING_DOWN', 'sigild is stopping; use another instance'),
    );
    return this.hosts;
  }

  #assertServing(signal: AbortSignal): void {
    signal.throwIfAborted();
    if (this.#refusal) throw this.#refusal();
  }

  #refuse(refusal: () => SigildError): void {
    this.#refusal = refusal;
    const own = [...this.#serving.values()].flatMap((serving) => serving.own.splice(0));
    for (const call of [...own, ...this.#waiting.splice(0)]) call.fail(refusal());
  }

  #isFull(): boolean {
    if (this.#waiting.length < this.#maxWaiting) return false;
    this.#waiting = this.#waiting.filter((call) => !call.settled);
    return this.#waiting.length >= this.#maxWaiting;
  }

  #redistribute(calls: readonly Call[], reason: Error): void {
    const lost = new HostLost('the token host was lost while it had this call; try again', reason);
    const repeated = calls.filter((call) => call.mayRepeat());
    for (const call of calls) if (!repeated.includes(call)) call.fail(lost);
    if (this.#refusal) for (const call of repeated) call.fail(this.#refusal());
    else this.#waiting.unshift(...repeated);
    this.#schedulePump();
  }

  #killHungHosts(): void {
    const nowMs = performance.now();
    for (const host of this.hosts) {
      const hung = host.lanes.filter((lane) => lane.overdue(nowMs));
      const [limitMs] = hung.map((lane) => lane.failOldest(tooLate()));
      if (limitMs === undefined) continue;
      this.loseHost(host, new Error(`a call has hung in the module for more than ${limitMs} ms`));
    }
  }

  /** Calls that arrive in one turn of the event loop share batches. */
  #schedulePump(): void {
    if (this.#pumpScheduled) return;
    this.#pumpScheduled = true;
    setImmediate(() => {
      this.#pumpScheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    let lanes = 0;
    for (const { host, idle, own } of this.#serving.values()) {
      lanes += host.lanes.length;
      while (own.length > 0 && idle.length > 0) give(takeBatch(own, 1), idle);
    }
    while (this.#waiting.length > 0) {
      const idle = this.#mostIdle();
      if (idle.length === 0) return;
      give(takeBatch(this.#waiting, Math.ceil(this.#waiting.length / lanes)), idle);
    }
  }

  /** The free lanes of the host that has the most of them. */
  #mostIdle(): Lane[] {
    let most: Lane[] = [];
    for (const { idle } of this.#serving.values()) if (idle.length > most.length) most = idle;
    return most;
  }
}

/** Takes the calls that have waited longest out of a queue, without those whose callers have gone. */
function takeBatch(queue: Call[], fairShare: number): Call[] {
  const limit = Math.min(MAX_BATCH_CALLS, fairShare);
  const batch: Call[] = [];
  let bytes = 0;
  let taken = 0;
  for (const call of queue) {
    if (batch.length >= limit || bytes > MAX_BATCH_BYTES) break;
    taken += 1;
    if (call.settled) continue;
    batch.push(call);
    bytes += call.frame.byteLength;
  }
  queue.splice(0, taken);
  return batch;
}

function give(batch: readonly Call[], idle: Lane[]): void {
  if (batch.length > 0) idle.pop()?.send(batch);
}

function tooLate(): SigildError {
  return new SigildError(
    'DEADLINE_EXCEEDED',
    'the token did not answer in time; its host is replaced',
  );
}

function saturated(maxWaiting: number): SigildError {
  return new SigildError(
    'POOL_SATURATED',
    `${maxWaiting} calls wait for the token already; try again later or on another instance`,
    { retryAfterMs: SATURATED_RETRY_MS },
  );
}
