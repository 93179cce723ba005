import { SigildError } from '../domain/errors.ts';

export interface AdmissionLimits {
  /** Requests that are worked on at once. */
  readonly maxInFlight: number;
  /** The same for one client, over all its connections. */
  readonly maxInFlightPerClient: number;
  /** Pipeline streams that one client has open, over all its connections. */
  readonly maxStreamsPerClient: number;
  /** SignStream and VerifyStream calls that are worked on at once. */
  readonly maxSigningStreams: number;
  /** The same for one client, over all its connections. */
  readonly maxSigningStreamsPerClient: number;
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
  readonly #signingStreams = new Tally();
  #total = 0;
  #totalSigningStreams = 0;

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
    if (this.#total >= this.#limits.maxInFlight) {
      throw saturated(`${this.#total} requests are in flight`);
    }
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

  /**
   * As {@link enter}, for a SignStream or VerifyStream call; each needs its {@link leaveSigningStream}.
   *
   * @throws {SigildError} CLIENT_SATURATED, POOL_SATURATED
   */
  enterSigningStream(client: string): void {
    const own = this.#signingStreams.of(client);
    if (own >= this.#limits.maxSigningStreamsPerClient) {
      throw clientSaturated(`${own} SignStream and VerifyStream calls open`, 'end some of those');
    }
    if (this.#totalSigningStreams >= this.#limits.maxSigningStreams) {
      throw saturated(`${this.#totalSigningStreams} SignStream and VerifyStream calls are open`);
    }
    this.#signingStreams.add(client);
    this.#totalSigningStreams += 1;
  }

  leaveSigningStream(client: string): void {
    this.#signingStreams.remove(client);
    this.#totalSigningStreams -= 1;
  }
}

/** How many of something each client has. */
class Tally {
  readonly #counts = new Map<string, { count: number }>();

  of(client: string): number {
    return this.#counts.get(client)?.count ?? 0;
  }

  add(client: string): void {
    const own = this.#counts.get(client);
    if (own) own.count += 1;
    else this.#counts.set(client, { count: 1 });
  }

  remove(client: string): void {
    const own = this.#counts.get(client);
    if (!own) throw new Error('something was counted out that had not been counted in');
    own.count -= 1;
    if (own.count === 0) this.#counts.delete(client);
  }
}

function clientSaturated(what: string, remedy: string): SigildError {
  return new SigildError(
    'CLIENT_SATURATED',
    `this client has ${what}, which is its limit; ${remedy}`,
  );
}

function saturated(what: string): SigildError {
  return new SigildError('POOL_SATURATED', `${what}, which is the daemon's limit; try again later`);
}
