import { SigildError } from '../domain/errors.ts';
import { DayQuota, type RateMeter, TokenBucket } from './rate-meter.ts';

/** How much may be asked for; what is absent has no limit. Each is an integer of at least 1. */
export interface Rates {
  readonly callsPerSecond?: number | undefined;
  /** How many calls may come at once; as many as in a second when absent. */
  readonly callBurst?: number | undefined;
  /** From midnight to midnight, UTC. */
  readonly callsPerDay?: number | undefined;
  /** Of data to be signed or verified. */
  readonly bytesPerSecond?: number | undefined;
  /** How many bytes may come at once; as many as in a second when absent. */
  readonly byteBurst?: number | undefined;
}

export interface RateLimitsOptions {
  /** For all clients together. */
  readonly inAll: Rates;
  /** For each client for which nothing else is said. */
  readonly perClient: Rates;
  /**
   * Every client that is configured, with what is said for it alone. All others, who may do nothing,
   * share one account, so that no client can make the memory grow with names.
   */
  readonly clients: ReadonlyMap<string, Rates>;
}

/** What a request asks for. */
export interface Cost {
  /** Items of a batch or a frame count as calls. */
  readonly calls: number;
  readonly bytes: number;
}

export const ONE_CALL: Cost = { calls: 1, bytes: 0 };

interface Limit {
  readonly of: keyof Cost;
  readonly meter: RateMeter;
  /** For the message: what is limited, and to what. */
  readonly text: string;
}

/** Limits on what clients ask for in a time. Counts are in memory alone, and a restart forgets them. */
export class RateLimits {
  readonly #inAll: readonly Limit[];
  readonly #ofClients: ReadonlyMap<string, readonly Limit[]>;
  readonly #ofOthers: readonly Limit[];

  constructor({ inAll, perClient, clients }: RateLimitsOptions) {
    this.#inAll = limitsOf(inAll, 'all clients together');
    const ofClient = (own: Rates) => [
      ...limitsOf({ ...perClient, ...own }, 'this client'),
      ...this.#inAll,
    ];
    this.#ofClients = new Map([...clients].map(([name, own]) => [name, ofClient(own)]));
    this.#ofOthers = ofClient({});
  }

  /**
   * Counts a request in. One that is refused does not count.
   *
   * @throws {SigildError} RATE_LIMITED, with the time after which it fits
   */
  spend(client: string, cost: Cost): void {
    const limits = this.#limitsOf(client);
    let longestMs = 0;
    let text = '';
    for (const limit of limits) {
      const waitMs = limit.meter.waitMs(cost[limit.of]);
      if (waitMs <= longestMs) continue;
      longestMs = waitMs;
      text = limit.text;
    }
    if (longestMs > 0) throw rateLimited(text, longestMs);
    for (const { of, meter } of limits) meter.take(cost[of]);
  }

  /**
   * Counts in data that have come already.
   *
   * @returns how many milliseconds to wait before more are read
   */
  paceMs(client: string, bytes: number): number {
    let longestMs = 0;
    for (const { of, meter } of this.#limitsOf(client)) {
      if (of !== 'bytes') continue;
      meter.take(bytes);
      longestMs = Math.max(longestMs, meter.waitMs(0));
    }
    return longestMs;
  }

  #limitsOf(client: string): readonly Limit[] {
    return this.#ofClients.get(client) ?? this.#ofOthers;
  }
}

function limitsOf(rates: Rates, whose: string): Limit[] {
  const { callsPerSecond, callsPerDay, bytesPerSecond } = rates;
  const { callBurst = callsPerSecond ?? 0, byteBurst = bytesPerSecond ?? 0 } = rates;
  const limit = (of: keyof Cost, setting: keyof Rates, meter: RateMeter): Limit => {
    return { of, meter, text: `${setting} of ${whose} is ${rates[setting]}` };
  };
  return [
    callsPerSecond && limit('calls', 'callsPerSecond', new TokenBucket(callsPerSecond, callBurst)),
    callsPerDay && limit('calls', 'callsPerDay', new DayQuota(callsPerDay)),
    bytesPerSecond && limit('bytes', 'bytesPerSecond', new TokenBucket(bytesPerSecond, byteBurst)),
  ].filter((made) => typeof made === 'object');
}

function rateLimited(limit: string, retryAfterMs: number): SigildError {
  return new SigildError('RATE_LIMITED', `${limit}; try again in ${retryAfterMs} ms`, {
    retryAfterMs,
  });
}
