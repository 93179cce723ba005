import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { DayQuota, TokenBucket } from '../../src/rpc/rate-meter.ts';

const HOUR_MS = 60 * 60 * 1_000;
const TEN_AT_NIGHT = Date.UTC(2026, 10, 22, 22);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'Date'] });
  vi.setSystemTime(TEN_AT_NIGHT);
  onTestFinished(() => void vi.useRealTimers());
});

describe('a token bucket', () => {
  test('lets a burst pass at once, and then says when more fits', () => {
    const bucket = new TokenBucket(10, 20);

    bucket.take(20);

    expect(bucket.waitMs(1)).toBe(100);
    expect(bucket.waitMs(5)).toBe(500);
  });

  test('fills up as time passes, to a burst and no more', () => {
    const bucket = new TokenBucket(10, 20);
    bucket.take(20);

    vi.advanceTimersByTime(500);
    expect(bucket.waitMs(5)).toBe(0);
    expect(bucket.waitMs(6)).toBe(100);
    vi.advanceTimersByTime(HOUR_MS);
    bucket.take(20);
    expect(bucket.waitMs(1)).toBe(100);
  });

  test('lets pass what is larger than a burst when it is full, and waits for all of it after', () => {
    const bucket = new TokenBucket(10, 20);
    expect(bucket.waitMs(50)).toBe(0);

    bucket.take(50);

    expect(bucket.waitMs(1)).toBe(3_100);
    expect(bucket.waitMs(50)).toBe(5_000);
  });

  test('does not heed the time of day', () => {
    const bucket = new TokenBucket(10, 20);
    bucket.take(20);

    vi.setSystemTime(TEN_AT_NIGHT + HOUR_MS);

    expect(bucket.waitMs(1)).toBe(100);
  });
});

describe('a quota of a day', () => {
  test('says after the last call how long the day still is', () => {
    const quota = new DayQuota(3);

    quota.take(2);

    expect(quota.waitMs(1)).toBe(0);
    expect(quota.waitMs(2)).toBe(2 * HOUR_MS);
  });

  test('begins anew at midnight, UTC', () => {
    const quota = new DayQuota(3);
    quota.take(3);

    vi.advanceTimersByTime(2 * HOUR_MS - 1);
    expect(quota.waitMs(1)).toBe(1);
    vi.advanceTimersByTime(1);
    expect(quota.waitMs(3)).toBe(0);
  });

  test('lets pass what is larger than it on a day on which nothing was', () => {
    const quota = new DayQuota(3);
    expect(quota.waitMs(5)).toBe(0);

    quota.take(1);

    expect(quota.waitMs(5)).toBe(2 * HOUR_MS);
  });

  test('does not outlast a clock that was set wrong', () => {
    const quota = new DayQuota(3);
    vi.setSystemTime(TEN_AT_NIGHT + 365 * 24 * HOUR_MS);
    quota.take(3);

    vi.setSystemTime(TEN_AT_NIGHT);

    expect(quota.waitMs(1)).toBe(0);
  });
});
