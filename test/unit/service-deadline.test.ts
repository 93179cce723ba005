import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import { untilAborted, withLimit } from '../../src/service/deadline.ts';

const gone = new SigildError('CANCELLED', 'gone');
const never = new Promise<never>(() => undefined);

describe('shared work', () => {
  test('gives its result to a caller who stays', async () => {
    const { signal } = new AbortController();

    await expect(untilAborted(Promise.resolve(7), signal)).resolves.toBe(7);
    await expect(untilAborted(Promise.reject(gone), signal)).rejects.toBe(gone);
  });

  test('lets a caller go at once, with the reason of its signal', async () => {
    const caller = new AbortController();
    const waiting = untilAborted(never, caller.signal);

    caller.abort(gone);

    await expect(waiting).rejects.toBe(gone);
  });

  test('lets go a caller who had gone before it began', async () => {
    await expect(untilAborted(never, AbortSignal.abort(gone))).rejects.toBe(gone);
  });

  test('may fail when nobody waits for it any more', async () => {
    const caller = new AbortController();
    let fail: (error: Error) => void = () => undefined;
    const work = new Promise<never>((_, reject) => {
      fail = reject;
    });
    const waiting = untilAborted(work, caller.signal);
    caller.abort(gone);
    await expect(waiting).rejects.toBe(gone);

    fail(new Error('too late'));

    await expect(work).rejects.toThrow('too late');
  });

  test('leaves nothing on the signal of a caller who is done', async () => {
    const { signal } = new AbortController();

    await untilAborted(Promise.resolve(), signal);
    await untilAborted(Promise.reject(gone), signal).catch(() => undefined);

    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('a limit', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('ends work that takes longer', async () => {
    const work = withLimit(1_000, 'the work', (signal) => untilAborted(never, signal));
    const outcome = expect(work).rejects.toMatchObject({
      reason: 'DEADLINE_EXCEEDED',
      message: expect.stringContaining('the work took longer than 1000 ms'),
    });

    await vi.advanceTimersByTimeAsync(1_000);

    await outcome;
  });

  test('leaves no timer behind, whether the work is done or has failed', async () => {
    await withLimit(1_000, 'the work', async () => 'done');
    await withLimit(1_000, 'the work', () => Promise.reject(gone)).catch(() => undefined);

    expect(vi.getTimerCount()).toBe(0);
  });
});
