import type { Cancellation } from '../domain/cancellation.ts';
import { SigildError } from '../domain/errors.ts';
import { Call, type CallOptions, HostLost } from './call.ts';
import { FairQueue } from './fair-queue.ts';
import type { Host } from './host.ts';
import { type LaneHost, LanePool, type Place, STALLED_MS } from './lane-pool.ts';

export interface DispatcherOptions<AnyHost extends LaneHost> {
  /** How many calls may wait for a lane, beside those that a lost host gave back. */
  readonly maxWaiting: number;
  /**
   * Told when a host is of no use any more; it has been killed, and its lanes get no more calls.
   * Not told after {@link Dispatcher.close}.
   */
  readonly onHostLost: (host: AnyHost, reason: Error) => void;
}

/** How often lanes are looked at for calls that hang. */
const HANG_CHECK_MS = 100;

const SATURATED_RETRY_MS = 100;
const UNAVAILABLE_RETRY_MS = 1_000;

/**
 * Gives calls to session lanes.
 *
 * 1. Calls go, clients in turn, to as many lanes as their number is worth, which Pace knows: a fast
 *    token takes many in one batch, a slow one works on as many at once as it has sessions.
 *    Each lane takes its fair part of those waiting, and no more than it does soon.
 * 2. Among free lanes one of the least busy host is chosen, among busy ones the least busy.
 * 3. A call of unknown length gets the next free lane for itself.
 * 4. A call whose caller has gone leaves the queue. One that is with a lane already runs on.
 * 5. When a host is lost, calls that may be repeated go to the head of the queue, once.
 */
export class Dispatcher<AnyHost extends LaneHost = Host> {
  readonly #maxWaiting: number;
  readonly #onHostLost: DispatcherOptions<AnyHost>['onHostLost'];
  readonly #lanes: LanePool<AnyHost>;
  readonly #hangCheck: NodeJS.Timeout;
  readonly #waiting = new FairQueue();
  #pumpScheduled = false;
  #lookingAgain: NodeJS.Timeout | undefined;
  #refusal: (() => SigildError) | undefined;
  #closed = false;

  constructor({ maxWaiting, onHostLost }: DispatcherOptions<AnyHost>) {
    this.#maxWaiting = maxWaiting;
    this.#onHostLost = onHostLost;
    this.#lanes = new LanePool({
      onRoom: () => this.#schedulePump(),
      onLost: (host, reason) => this.loseHost(host, reason),
    });
    // After the pipes have been read: when this process itself was stopped for a while, the answers
    // wait in them, and no host has hung.
    const check = () => setImmediate(() => this.#killHungHosts());
    this.#hangCheck = setInterval(check, HANG_CHECK_MS).unref();
  }

  /** The hosts that take calls. */
  get hosts(): readonly AnyHost[] {
    return this.#lanes.hosts;
  }

  /** Of calls, those that wait for any lane. */
  get figures(): { readonly hosts: number; readonly sessions: number; readonly waiting: number } {
    const sessions = this.hosts.reduce((sum, { lanes }) => sum + lanes.length, 0);
    return { hosts: this.hosts.length, sessions, waiting: this.#waiting.length };
  }

  /**
   * @returns the payload of the lane's answer
   * @throws {SigildError} POOL_SATURATED, also later where the client has most waiting and another
   *   one comes; TOKEN_UNAVAILABLE, SHUTTING_DOWN, {@link HostLost}, `signal.reason`, and what the
   *   lane answers
   */
  async submit(frame: Buffer, options: CallOptions): Promise<Buffer> {
    this.#assertServing(options.signal);
    if (this.#isFull()) this.#makeRoom(options.signal.client);
    const call = new Call(frame, options);
    this.#waiting.push(call);
    this.#schedulePump();
    return await call.answer;
  }

  /**
   * As {@link submit}, but on this host, ahead of all that wait and whatever their number: its
   * callers keep their own number small.
   */
  async submitTo(host: AnyHost, frame: Buffer, options: CallOptions): Promise<Buffer> {
    this.#assertServing(options.signal);
    const own = this.#lanes.ownOf(host);
    if (!own) throw new HostLost('the token host has gone');
    const call = new Call(frame, options);
    own.push(call);
    this.#schedulePump();
    return await call.answer;
  }

  /** As {@link submit}, but to this lane of a host, behind all that the lane has. */
  async submitOn(
    { host, lane }: Place<AnyHost>,
    frame: Buffer,
    options: CallOptions,
  ): Promise<Buffer> {
    this.#assertServing(options.signal);
    if (!this.#lanes.ownOf(host)) throw new HostLost('the token host has gone');
    const call = new Call(frame, options);
    lane.send([call]);
    return await call.answer;
  }

  /**
   * Gives a call to every lane of every host, behind all that the lane has. A host that is lost
   * meanwhile counts as one that has done it: what it knew went with it.
   *
   * @param frame makes a frame for one lane
   * @throws {SigildError} what a lane answers; `signal.reason`
   */
  async submitToEach(frame: () => Buffer, options: CallOptions): Promise<void> {
    options.signal.throwIfAborted();
    await Promise.all(this.hosts.map((host) => this.#submitToLanes(host, frame, options)));
  }

  /** Gives calls to this host too; one that comes after {@link close} is killed. */
  addHost(host: AnyHost): void {
    if (this.#closed) {
      host.kill();
      return;
    }
    this.#lanes.add(host);
    this.#refusal = undefined;
    void host.exited.then((how) => this.loseHost(host, new Error(`the token host ${how}`)));
    this.#schedulePump();
  }

  /** Kills a host; its calls go elsewhere, or fail, once it has ended. */
  loseHost(host: AnyHost, reason: Error): void {
    const calls = this.#lanes.remove(host);
    if (!calls) return;
    host.kill();
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
    clearTimeout(this.#lookingAgain);
    this.#refuse(
      () => new SigildError('SHUTTING_DOWN', 'sigild is stopping; use another instance'),
    );
    return this.hosts;
  }

  async #submitToLanes(host: AnyHost, frame: () => Buffer, options: CallOptions): Promise<void> {
    const answers = host.lanes.map((lane) => {
      const call = new Call(frame(), options);
      lane.send([call]);
      return call.answer;
    });
    const outcomes = await Promise.allSettled(answers);
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed && this.hosts.includes(host)) throw failed.reason;
  }

  #assertServing(signal: Cancellation): void {
    signal.throwIfAborted();
    if (this.#refusal) throw this.#refusal();
  }

  #refuse(refusal: () => SigildError): void {
    this.#refusal = refusal;
    for (const call of [...this.#lanes.takeOwn(), ...this.#waiting.takeAll()]) call.fail(refusal());
  }

  #isFull(): boolean {
    if (this.#waiting.length < this.#maxWaiting) return false;
    this.#waiting.prune();
    return this.#waiting.length >= this.#maxWaiting;
  }

  /** A client with less than the others gets a place, at the cost of the one that has most. */
  #makeRoom(client: string | undefined): void {
    const displaced = this.#waiting.displaceFor(client);
    if (!displaced) throw saturated(this.#maxWaiting);
    displaced.fail(saturated(this.#maxWaiting));
  }

  #redistribute(calls: readonly Call[], reason: Error): void {
    const lost = new HostLost('the token host was lost while it had this call; try again', reason);
    const repeated = calls.filter((call) => call.mayRepeat());
    for (const call of calls) if (!repeated.includes(call)) call.fail(lost);
    if (this.#refusal) for (const call of repeated) call.fail(this.#refusal());
    else this.#waiting.pushFront(repeated);
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
    if (!this.#lanes.deal(this.#waiting)) return;
    this.#lookingAgain ??= setTimeout(() => {
      this.#lookingAgain = undefined;
      this.#pump();
    }, STALLED_MS);
  }
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
