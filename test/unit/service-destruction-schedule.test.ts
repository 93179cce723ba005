import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Key } from '../../src/domain/key.ts';
import { DestructionSchedule } from '../../src/service/destruction-schedule.ts';
import { keyOf, keyVersion } from '../support/key-version.ts';

const INTERVAL_MS = 10_000;
const NOW_MS = Date.UTC(2026, 0, 1);

/** A schedule over keys that are due at these times; one that is finished is due no more. */
function startSchedule(due: Readonly<Record<string, number>>) {
  const times = new Map(Object.entries(due));
  const finished: string[] = [];
  const failures: unknown[] = [];
  const broken = new Set<string>();
  let unreadable = 0;
  const keyNamed = (key: string): Key => keyOf(keyVersion({ key }));
  const schedule = new DestructionSchedule({
    catalog: {
      all: () => [...times.keys()].map(keyNamed),
      refresh: async () => {
        if (unreadable-- > 0) throw new Error('the token cannot be read');
      },
    },
    destruction: {
      dueTimeMs: ({ name }) => times.get(name),
      finish: async (name) => {
        if (broken.has(name)) throw new Error('the token refuses');
        times.delete(name);
        finished.push(name);
      },
    },
    intervalMs: INTERVAL_MS,
    onFailure: (key, error) => failures.push([key, (error as Error).message]),
  });
  return {
    ...{ schedule, times, finished, failures, broken },
    startUnreadable: (reads: number) => {
      unreadable = reads;
      schedule.start();
    },
  };
}

describe('a schedule', () => {
  beforeEach(() => void vi.useFakeTimers({ now: NOW_MS }));

  afterEach(() => void vi.useRealTimers());

  test('does at once what was due while no daemon ran, the earliest first', async () => {
    const { schedule, finished } = startSchedule({ b: NOW_MS - 1, a: NOW_MS, later: NOW_MS + 1 });

    schedule.start();
    await vi.advanceTimersByTimeAsync(0);

    expect(finished).toEqual(['b', 'a']);
    await schedule.stop();
  });

  test('does each thing at its time', async () => {
    const { schedule, finished } = startSchedule({ soon: NOW_MS + 3_000, late: NOW_MS + 25_000 });

    schedule.start();
    await vi.advanceTimersByTimeAsync(2_999);
    expect(finished).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(finished).toEqual(['soon']);
    await vi.advanceTimersByTimeAsync(21_999);
    expect(finished).toEqual(['soon']);
    await vi.advanceTimersByTimeAsync(1);

    expect(finished).toEqual(['soon', 'late']);
    await schedule.stop();
  });

  test('sees what is scheduled while it waits at its next look', async () => {
    const { schedule, times, finished } = startSchedule({ far: NOW_MS + 1e12 });
    schedule.start();
    await vi.advanceTimersByTimeAsync(1_000);

    times.set('new', NOW_MS + 2_000);
    await vi.advanceTimersByTimeAsync(INTERVAL_MS - 1_000);

    expect(finished).toEqual(['new']);
    await schedule.stop();
  });

  test('tries again at its next look what fails, tells of it once, and does the rest', async () => {
    const { schedule, broken, finished, failures } = startSchedule({ a: 0, b: 0 });
    broken.add('a');

    schedule.start();
    await vi.advanceTimersByTimeAsync(3 * INTERVAL_MS);
    expect(finished).toEqual(['b']);
    broken.delete('a');
    await vi.advanceTimersByTimeAsync(INTERVAL_MS);

    expect(finished).toEqual(['b', 'a']);
    expect(failures).toEqual([['a', 'the token refuses']]);
    await schedule.stop();
  });

  test('begins though the token cannot be read at first', async () => {
    const { schedule, startUnreadable, finished } = startSchedule({ a: 0 });

    startUnreadable(1);
    await vi.advanceTimersByTimeAsync(INTERVAL_MS);

    expect(finished).toEqual(['a']);
    await schedule.stop();
  });

  test('does nothing after its stop', async () => {
    const { schedule, finished } = startSchedule({ a: NOW_MS + 1 });
    schedule.start();
    await vi.advanceTimersByTimeAsync(0);

    await schedule.stop();
    await vi.advanceTimersByTimeAsync(2 * INTERVAL_MS);

    expect(finished).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
