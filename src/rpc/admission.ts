import { SigildError } from '../domain/errors.ts';

export interface AdmissionLimits {
  /** Requests that are worked on at once. */
  readonly maxInFlight: number;
  /** The same for one client, over all its connections. */
  readonly maxInFlightPerClient: number;
  /** Pipeline streams that one client has open, over all its connections. */
  readonly maxStreamsPerClient: number;
}

/**
 * Counts the requests that are worked on, and the streams that are open. A request counts until its
 * work has ended, even when its caller has gone: a client that cancels what it asked for makes no
 * room for more.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #inFlight = new Tally();
  readonly #streams = new Tally();
  #total = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  get inFlight(): number {
    return this.#total;
  }

  /**
   * Counts a request in; each needs its {@link leave}.
   *
   * @throws {SigildError} CLIENT_SATURATED, POOL_SATURATED
   */
  enter(client: string): void {
    const own = this.#inFlight.of(client);
    if (own >= this.#limits.maxInFlightPerClient) {
      throw clientSaturated(`${own} requests in flight`, 'wait for answers');
    }
    if (this.#total >= this.#limits.maxInFlight) throw saturated(this.#total);
    this.#inFlight.add(client);
    this.#total += 1;
  }

  leave(client: string): void {
    this.#inFlight.remove(client);
    this.#total -= 1;
  }

  /**
   * Counts a stream in; each needs its {@link closeStream}.
   *
   * @throws {SigildError} CLIENT_SATURATED
   */
  openStream(client: string): void {
    const own = this.#streams.of(client);
    if (own >= this.#limits.maxStreamsPerClient) {
      throw clientSaturated(`${own} Pipeline streams open`, 'send more frames on those');
    }
    this.#streams.add(client);
  }

  closeStream(client: string): void {
    this.#streams.remove(client);
  }
}

/** How many of something each client has. */
class Tally {
  readonly #counts = new Map<string, number>();

  of(client: string): number {
    return this.#counts.get(client) ?? 0;
  }

  add(client: string): void {
    this.#counts.set(client, this.of(client) + 1);
  }

  remove(client: string): void {
    const count = this.of(client);
    if (count === 0) throw new Error('something was counted out that had not been counted in');
    if (count > 1) this.#counts.set(client, count - 1);
    else this.#counts.delete(client);
  }
}

function clientSaturated(what: string, remedy: string): SigildError {
  return new SigildError(
    'CLIENT_SATURATED',
    `this client has ${what}, which is its limit; ${remedy}`,
  );
}

function saturated(requests: number): SigildError {
  return new SigildError(
    'POOL_SATURATED',
    `${requests} requests are in flight, which is the daemon's limit; try again later`,
  );
}
