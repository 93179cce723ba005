import { SigildError } from '../domain/errors.ts';
import { type Cost, ONE_CALL, type RateLimits } from './rate-limits.ts';
import { Tally } from './tally.ts';

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

export interface AdmissionOptions {
  /** What clients may have in flight for whom the limits say something else than for the others. */
  readonly maxInFlightOf?: ReadonlyMap<string, number>;
  /** Without it there is no limit on what is asked for in a time. */
  readonly rates?: RateLimits | undefined;
  /** Told of each request, also of those that are refused. */
  readonly onRequest?: (client: string, cost: Cost) => void;
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
  readonly #maxInFlightOf: ReadonlyMap<string, number>;
  readonly #rates: RateLimits | undefined;
  readonly #onRequest: AdmissionOptions['onRequest'];
  #total = 0;
  #totalSigningStreams = 0;

  constructor(limits: AdmissionLimits, { maxInFlightOf, rates, onRequest }: AdmissionOptions = {}) {
    this.#limits = limits;
    this.#maxInFlightOf = maxInFlightOf ?? new Map();
    this.#rates = rates;
    this.#onRequest = onRequest;
  }

  get inFlight(): number {
    return this.#total;
  }

  /**
   * Counts a request in; each needs its {@link leave}.
   *
   * @throws {SigildError} CLIENT_SATURATED, POOL_SATURATED, RATE_LIMITED
   */
  enter(client: string, cost: Cost = ONE_CALL): void {
    this.#onRequest?.(client, cost);
    const own = this.#inFlight.of(client);
    if (own >= (this.#maxInFlightOf.get(client) ?? this.#limits.maxInFlightPerClient)) {
      throw clientSaturated(`${own} requests in flight`, 'wait for answers');
    }
    if (this.#total >= this.#limits.maxInFlight) {
      throw saturated(`${this.#total} requests are in flight`);
    }
    this.#rates?.spend(client, cost);
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
    this.#onRequest?.(client, ONE_CALL);
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
   * @throws {SigildError} CLIENT_SATURATED, POOL_SATURATED, RATE_LIMITED
   */
  enterSigningStream(client: string): void {
    this.#onRequest?.(client, ONE_CALL);
    const own = this.#signingStreams.of(client);
    if (own >= this.#limits.maxSigningStreamsPerClient) {
      throw clientSaturated(`${own} SignStream and VerifyStream calls open`, 'end some of those');
    }
    if (this.#totalSigningStreams >= this.#limits.maxSigningStreams) {
      throw saturated(`${this.#totalSigningStreams} SignStream and VerifyStream calls are open`);
    }
    this.#rates?.spend(client, ONE_CALL);
    this.#signingStreams.add(client);
    this.#totalSigningStreams += 1;
  }

  leaveSigningStream(client: string): void {
    this.#signingStreams.remove(client);
    this.#totalSigningStreams -= 1;
  }

  /** Counts data of such a call. @returns how many milliseconds to wait before more are read */
  paceMs(client: string, bytes: number): number {
    return this.#rates?.paceMs(client, bytes) ?? 0;
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
