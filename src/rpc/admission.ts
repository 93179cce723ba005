import { SigildError } from '../domain/errors.ts';

export interface AdmissionLimits {
  /** Requests that are worked on at once. */
  readonly maxInFlight: number;
  /** The same for one client, over all its connections. */
  readonly maxInFlightPerClient: number;
}

/**
 * Counts the requests that are worked on. A request counts until its work has ended, even when its
 * caller has gone: a client that cancels what it asked for makes no room for more.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #inFlight = new Map<string, { requests: number }>();
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
    const own = this.#inFlight.get(client);
    if (own && own.requests >= this.#limits.maxInFlightPerClient) {
      throw clientSaturated(own.requests);
    }
    if (this.#total >= this.#limits.maxInFlight) throw saturated(this.#total);
    if (own) own.requests += 1;
    else this.#inFlight.set(client, { requests: 1 });
    this.#total += 1;
  }

  leave(client: string): void {
    const own = this.#inFlight.get(client);
    if (own === undefined) throw new Error('a request left that had not entered');
    own.requests -= 1;
    if (own.requests === 0) this.#inFlight.delete(client);
    this.#total -= 1;
  }
}

function clientSaturated(requests: number): SigildError {
  return new SigildError(
    'CLIENT_SATURATED',
    `this client has ${requests} requests in flight, which is its limit; wait for answers`,
  );
}

function saturated(requests: number): SigildError {
  return new SigildError(
    'POOL_SATURATED',
    `${requests} requests are in flight, which is the daemon's limit; try again later`,
  );
}
