/** Measures what one client, or all together, ask for against one limit. */
export interface RateMeter {
  /** @returns in how many milliseconds so much fits; 0: now */
  waitMs(amount: number): number;
  /** Counts it in, whether or not it fits. */
  take(amount: number): void;
}

const DAY_MS = 24 * 60 * 60 * 1_000;

/**
 * A token bucket: so much a second, and a burst at once after a time of rest.
 *
 * What is larger than a burst needs a full bucket and leaves it in debt, so that no request is too
 * large for ever and the rate is kept in the long run.
 */
export class TokenBucket implements RateMeter {
  readonly #perSecond: number;
  readonly #burst: number;
  #level: number;
  #filledAtMs = performance.now();

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#level = burst;
  }

  waitMs(amount: number): number {
    this.#fill();
    const missing = Math.min(amount, this.#burst) - this.#level;
    return missing <= 0 ? 0 : Math.ceil((missing / this.#perSecond) * 1_000);
  }

  take(amount: number): void {
    this.#fill();
    this.#level -= amount;
  }

  #fill(): void {
    const nowMs = performance.now();
    const gained = ((nowMs - this.#filledAtMs) / 1_000) * this.#perSecond;
    this.#level = Math.min(this.#burst, this.#level + gained);
    this.#filledAtMs = nowMs;
  }
}

/**
 * So much each day of UTC. A request that is larger than that needs an unused day.
 *
 * A count by days of the calendar is exact with a single number, and everybody can tell when it
 * begins anew; of the last 24 hours one would have to remember when each part of it came.
 */
export class DayQuota implements RateMeter {
  readonly #perDay: number;
  #day = 0;
  #used = 0;

  constructor(perDay: number) {
    this.#perDay = perDay;
  }

  waitMs(amount: number): number {
    const nowMs = this.#begin();
    const fits = this.#used + Math.min(amount, this.#perDay) <= this.#perDay;
    return fits ? 0 : DAY_MS - (nowMs % DAY_MS);
  }

  take(amount: number): void {
    this.#begin();
    this.#used += amount;
  }

  /** @returns the time of day, in milliseconds since 1970 */
  #begin(): number {
    const nowMs = Date.now();
    const day = Math.floor(nowMs / DAY_MS);
    // Also when the clock is set back: a day that was counted by mistake must not last.
    if (day !== this.#day) this.#used = 0;
    this.#day = day;
    return nowMs;
  }
}
