import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Deadlines } from '../../src/client/deadlines.ts';

interface Item {
  readonly name: string;
  readonly deadlineMs: number;
  readonly expiresAtMs: number;
}

let expired: string[];
let deadlines: Deadlines<Item>;

beforeEach(() => {
  vi.useFakeTimers();
  expired = [];
  deadlines = new Deadlines((item) => expired.push(item.name));
});

afterEach(() => {
  vi.useRealTimers();
});

function item(name: string, deadlineMs: number): Item {
  return { name, deadlineMs, expiresAtMs: performance.now() + deadlineMs };
}

test('tells of each item when its time is over, and not before', () => {
  deadlines.add(item('first', 100));
  vi.advanceTimersByTime(60);
  deadlines.add(item('second', 100));
  deadlines.add(item('short', 20));

  vi.advanceTimersByTime(39);
  expect(expired).toEqual(['short']);
  vi.advanceTimersByTime(1);
  expect(expired).toEqual(['short', 'first']);
  vi.advanceTimersByTime(60);
  expect(expired).toEqual(['short', 'first', 'second']);
});

test('tells of nothing that has left', () => {
  const place = deadlines.add(item('gone', 100));
  deadlines.add(item('there', 100));

  deadlines.delete(place);
  vi.advanceTimersByTime(100);

  expect(expired).toEqual(['there']);
});

test('uses one timer for any number of items with the same time, and none in the end', () => {
  const places = Array.from({ length: 1_000 }, (_, index) => deadlines.add(item(`${index}`, 100)));
  expect(vi.getTimerCount()).toBe(1);

  for (const place of places) deadlines.delete(place);
  vi.advanceTimersByTime(100);

  expect(vi.getTimerCount()).toBe(0);
  expect(expired).toEqual([]);
});

test('goes on when it has been idle', () => {
  deadlines.add(item('first', 100));
  vi.advanceTimersByTime(1_000);

  deadlines.add(item('second', 100));
  vi.advanceTimersByTime(100);

  expect(expired).toEqual(['first', 'second']);
});
