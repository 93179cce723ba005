import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Expiring, ExpiryWatch } from '../../src/lifecycle/expiry-watch.ts';

const DAY_MS = 24 * 60 * 60 * 1_000;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** A watch over one thing that ends in so many days, and what it tells: whether it is over. */
function watching(days: number, noticeDays: number) {
  const item: Expiring = {
    expiresAtMs: Date.now() + days * DAY_MS,
    noticeMs: noticeDays * DAY_MS,
  };
  const told: boolean[] = [];
  const watch = new ExpiryWatch({ list: () => [item], tell: (_, isOver) => told.push(isOver) });
  return { watch, told };
}

test('tells once a day of what is going to end, and that it is over', async () => {
  const { watch, told } = watching(2, 30);

  watch.start();
  await vi.advanceTimersByTimeAsync(3 * DAY_MS);
  watch.stop();

  expect(told).toEqual([false, false, true, true]);
});

test('says nothing of what is far from its end', async () => {
  const { watch, told } = watching(33, 30);

  watch.start();
  await vi.advanceTimersByTimeAsync(2 * DAY_MS);
  const early = told.length;
  await vi.advanceTimersByTimeAsync(DAY_MS);
  watch.stop();

  expect(early).toBe(0);
  expect(told).toEqual([false]);
});

test('says nothing after its end, and begins anew when it is started again', async () => {
  const { watch, told } = watching(20, 30);
  watch.start();

  watch.start();
  watch.stop();
  await vi.advanceTimersByTimeAsync(2 * DAY_MS);

  expect(told).toEqual([false, false]);
});
