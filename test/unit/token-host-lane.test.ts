import { afterEach, describe, expect, test, vi } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import { Call, type CallOptions } from '../../src/token-host/call.ts';
import { encodeFrame } from '../../src/token-host/frames.ts';
import { FakeSession, textFrame, turn } from '../support/fake-host.ts';

afterEach(() => void vi.useRealTimers());

function startLane() {
  const session = new FakeSession();
  const events: string[] = [];
  const worked: { readonly workedMs: number; readonly macs: number }[] = [];
  session.lane.attach({
    onRoom: () => events.push('room'),
    onWorked: (workedMs, macs) => worked.push({ workedMs, macs }),
    onLost: (reason) => events.push(`lost: ${reason.message}`),
  });
  const caller = new AbortController();
  const callOf = (text: string, options: Partial<CallOptions> = {}) =>
    new Call(textFrame(text), {
      repeatable: true,
      macs: 1,
      limitMs: 1_000,
      signal: caller.signal,
      ...options,
    });
  return { session, lane: session.lane, events, worked, caller, callOf };
}

/** An answer that no request asked for. */
function strayAnswer(call = 0): Buffer {
  const frame = encodeFrame(0, 0, () => undefined);
  frame.writeUInt32BE(call, 4);
  return frame;
}

function settledOf(calls: readonly Call[]): boolean[] {
  return calls.map((call) => call.settled);
}

describe('a lane', () => {
  test('settles calls in their order, each with its own answer', async () => {
    const { session, lane, callOf } = startLane();
    const calls = ['one', 'two', 'three'].map((text) => callOf(text));
    lane.send(calls);
    await turn();

    session.answer(2);
    await turn();
    const early = settledOf(calls);
    session.answer();

    const answers = await Promise.all(calls.map((call) => call.answer));
    expect(early).toEqual([true, true, false]);
    expect(answers.map(String)).toEqual(['one', 'two', 'three']);
  });

  test('writes a batch at once', async () => {
    const { session, lane, callOf } = startLane();

    lane.send(['one', 'two', 'three'].map((text) => callOf(text)));
    await turn();

    expect(session.batches).toEqual([['one', 'two', 'three']]);
  });

  test('says with every answer that it has room, and is idle after the last one', async () => {
    const { session, lane, callOf, events } = startLane();
    lane.send([callOf('one'), callOf('two')]);
    await turn();

    session.answer();
    await turn();
    expect([lane.idle, lane.macsInFlight, events]).toEqual([false, 1, ['room']]);
    session.answer();
    await turn();

    expect([lane.idle, lane.macsInFlight, events]).toEqual([true, 0, ['room', 'room']]);
  });

  test('goes on with the next batch after an error', async () => {
    const { session, lane, callOf, events } = startLane();
    const failing = callOf('one');
    lane.send([failing]);
    await turn();
    session.fail(new SigildError('KEY_NOT_FOUND', 'no such key'));
    await expect(failing.answer).rejects.toMatchObject({ reason: 'KEY_NOT_FOUND' });

    const next = callOf('two');
    lane.send([next]);
    await turn();
    session.answer();

    expect(String(await next.answer)).toBe('two');
    expect(events).not.toContainEqual(expect.stringContaining('lost'));
  });

  test('keeps its place when a caller leaves while the token works', async () => {
    const { session, lane, callOf } = startLane();
    const leaver = new AbortController();
    const left = callOf('left', { signal: leaver.signal });
    const stayed = callOf('stayed');
    lane.send([left, stayed]);
    await turn();

    leaver.abort(new SigildError('CANCELLED', 'gone'));
    await expect(left.answer).rejects.toMatchObject({ reason: 'CANCELLED' });
    session.answer(2);

    expect(String(await stayed.answer)).toBe('stayed');
  });

  test('fails one call alone when an answer must not be used', async () => {
    const { session, lane, callOf, events } = startLane();
    const refusal = new SigildError('TOKEN_REFUSED', 'replaced');
    const calls = [callOf('one', { check: () => refusal }), callOf('two')];
    lane.send(calls);
    await turn();

    session.answer(2);

    await expect(calls[0]?.answer).rejects.toBe(refusal);
    expect(String(await calls[1]?.answer)).toBe('two');
    expect(events).toEqual(['room']);
  });

  test('ends its pipe when no more calls come, and still takes the answers', async () => {
    const { session, lane, callOf } = startLane();
    const call = callOf('last');
    lane.send([call]);

    lane.end();
    await turn();
    session.answer();

    expect(session.ended).toBe(true);
    expect(String(await call.answer)).toBe('last');
  });
});

describe('a lane is lost', () => {
  type Started = ReturnType<typeof startLane>;
  const untrusted = () => {
    throw new Error('another key');
  };
  const cases: [string, (started: Started) => void, RegExp][] = [
    [
      'bytes are no frames',
      ({ session }) => session.pipe.push(Buffer.alloc(13, 0xff)),
      /not possible/,
    ],
    ['an answer is out of turn', ({ session }) => session.pipe.push(strayAnswer(1)), /out of turn/],
    ['the token is lost', ({ session }) => session.loseToken(), /the token is lost/],
    ['its pipe is closed', ({ session }) => session.close(), /closed its pipe/],
    ['its pipe breaks', ({ session }) => session.pipe.destroy(new Error('EPIPE')), /EPIPE/],
    [
      'an error makes no sense',
      ({ session }) => {
        const frame = encodeFrame(1, 3, (payload) => payload.write('???'));
        session.pipe.push(frame);
      },
      /JSON/,
    ],
  ];

  test.each(cases)(
    'when %s: told once, with its calls still in flight',
    async (_, lose, reason) => {
      const started = startLane();
      const calls = [started.callOf('one'), started.callOf('two')];
      started.lane.send(calls);
      await turn();

      lose(started);
      await turn();
      if (!started.session.pipe.destroyed) started.session.answer(2);
      started.session.close();
      await turn();

      expect(started.events).toEqual([expect.stringMatching(reason)]);
      expect(settledOf(calls)).toEqual([false, false]);
      expect(started.lane.abandon()).toEqual(calls);
    },
  );

  test('when an answer shows that its host must not be trusted: the call is still in flight', async () => {
    const { session, lane, callOf, events } = startLane();
    const calls = [callOf('one'), callOf('two', { check: untrusted }), callOf('three')];
    lane.send(calls);
    await turn();

    session.answer(3);
    await turn();

    expect(events).toEqual(['lost: another key']);
    expect(settledOf(calls)).toEqual([true, false, false]);
    expect(lane.abandon()).toEqual(calls.slice(1));
  });

  test.each([
    ['a whole answer', strayAnswer()],
    ['a part of one', strayAnswer().subarray(0, 3)],
  ])('when it sends %s though it was asked nothing', async (_, bytes) => {
    const { session, events } = startLane();

    session.pipe.push(bytes);
    await turn();

    expect(events).toEqual(['lost: an answer to no call']);
  });

  test('when it sends more answers than it was asked for', async () => {
    const { session, lane, callOf, events } = startLane();
    const call = callOf('one');
    lane.send([call]);
    await turn();

    session.pipe.push(Buffer.concat([strayAnswer(0), strayAnswer(1)]));
    await turn();

    expect(call.settled).toBe(true);
    expect(events).toEqual(['lost: answer 1 to no call']);
  });
});

test('an abandoned lane says nothing more, and its late answers settle nothing', async () => {
  const { session, lane, callOf, events } = startLane();
  const call = callOf('one');
  lane.send([call]);
  await turn();

  lane.abandon();
  session.answer();
  session.close();
  await turn();

  expect(call.settled).toBe(false);
  expect(events).toEqual([]);
});

describe('a call that the token works on', () => {
  test('is overdue when the lane has made no progress for longer than its limit', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const { session, lane, callOf } = startLane();
    lane.send([callOf('one', { limitMs: 100 }), callOf('two', { limitMs: 300 })]);
    await turn();

    vi.advanceTimersByTime(100);
    expect(lane.overdue(performance.now())).toBe(false);
    vi.advanceTimersByTime(1);
    expect(lane.overdue(performance.now())).toBe(true);

    session.answer();
    await turn();
    vi.advanceTimersByTime(300);
    expect(lane.overdue(performance.now())).toBe(false);
    vi.advanceTimersByTime(1);
    expect(lane.overdue(performance.now())).toBe(true);
  });

  test('fails alone, and tells its limit', async () => {
    const { lane, callOf } = startLane();
    const calls = [callOf('one', { limitMs: 100 }), callOf('two')];
    lane.send(calls);

    const limitMs = lane.failOldest(new SigildError('DEADLINE_EXCEEDED', 'hung'));

    expect(limitMs).toBe(100);
    await expect(calls[0]?.answer).rejects.toThrow('hung');
    expect(settledOf(calls)).toEqual([true, false]);
  });

  test('is never overdue on a lane that has nothing to do', () => {
    const { lane } = startLane();

    expect(lane.overdue(performance.now() + 1e9)).toBe(false);
  });
});

test('a host that does not read costs the memory of one batch', async () => {
  const { session, lane, callOf } = startLane();
  session.reading = false;
  const calls = ['one', 'two'].map((text) => callOf(text));

  lane.send(calls);
  await turn();

  const batchBytes = calls.reduce((sum, call) => sum + call.frame.byteLength, 0);
  expect(session.pipe.writableLength).toBe(batchBytes);
  expect(lane.idle).toBe(false);
});
