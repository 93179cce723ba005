import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startWatchdog } from '../../src/lifecycle/watchdog.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

test('feeds at half the silence that is allowed', async () => {
  const feed = vi.fn(async () => {});

  const stop = startWatchdog(30_000, feed);
  await vi.advanceTimersByTimeAsync(60_000);
  stop();
  await vi.advanceTimersByTimeAsync(60_000);

  expect(feed).toHaveBeenCalledTimes(4);
});

test('does not feed again while a feeding waits', async () => {
  let endFeeding = () => {};
  const feed = vi.fn(
    () =>
      new Promise<void>((resolve) => {
        endFeeding = resolve;
      }),
  );
  const stop = startWatchdog(1_000, feed);

  await vi.advanceTimersByTimeAsync(5_000);
  const whileWaiting = feed.mock.calls.length;
  endFeeding();
  await vi.advanceTimersByTimeAsync(500);
  stop();

  expect(whileWaiting).toBe(1);
  expect(feed).toHaveBeenCalledTimes(2);
});

test.each([
  ['nobody watches', undefined],
  ['the limit is longer than a timer can be', 1e12],
])('does not feed when %s', async (_, limitMs) => {
  const feed = vi.fn(async () => {});

  const stop = startWatchdog(limitMs, feed);
  await vi.advanceTimersByTimeAsync(60_000);
  stop();

  expect(feed).not.toHaveBeenCalled();
});
