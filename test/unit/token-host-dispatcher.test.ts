import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type ErrorReason, SigildError } from '../../src/domain/errors.ts';
import { type CallOptions, HostLost } from '../../src/token-host/call.ts';
import { Dispatcher } from '../../src/token-host/dispatcher.ts';
import type { Lane } from '../../src/token-host/lane.ts';
import { FakeHost, textFrame, turn } from '../support/fake-host.ts';

const CLOCK = [
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'performance',
] as const;

/** On a clock that stands still until a test lets time {@link pass}. */
function startDispatcher(maxWaiting = 1_000) {
  vi.useFakeTimers({ toFake: [...CLOCK] });
  onTestFinished(() => void vi.useRealTimers());
  const lost: { readonly host: FakeHost; readonly reason: string }[] = [];
  const dispatcher = new Dispatcher<FakeHost>({
    maxWaiting,
    onHostLost: (host, reason) => lost.push({ host, reason: reason.message }),
  });
  onTestFinished(() => void dispatcher.close());
  const callOptions = (options: Partial<CallOptions>): CallOptions => ({
    repeatable: true,
    macs: 1,
    limitMs: 60_000,
    signal: new AbortController().signal,
    ...options,
  });
  const watched = (answer: Promise<Buffer>) => {
    const text = answer.then(String);
    // A test looks at the outcomes that it is about.
    text.catch(() => undefined);
    return text;
  };
  const submit = (text: string, options: Partial<CallOptions> = {}) =>
    watched(dispatcher.submit(textFrame(text), callOptions(options)));
  const submitTo = (host: FakeHost, text: string, options: Partial<CallOptions> = {}) =>
    watched(dispatcher.submitTo(host, textFrame(text), callOptions(options)));
  const submitOn = (host: FakeHost, text: string, options: Partial<CallOptions> = {}) => {
    const place = { host, lane: host.lanes[0] as Lane };
    const step = { repeatable: false, macs: 0, isStep: true };
    return watched(
      dispatcher.submitOn(place, textFrame(text), callOptions({ ...step, ...options })),
    );
  };
  const submitToEach = (text: string, options: Partial<CallOptions> = {}) => {
    const done = dispatcher.submitToEach(
      () => textFrame(text),
      callOptions({ repeatable: false, macs: 0, ...options }),
    );
    done.catch(() => undefined);
    return done;
  };
  const addHost = (sessions = 1) => {
    const host = new FakeHost(sessions);
    dispatcher.addHost(host);
    return host;
  };
  return { dispatcher, lost, submit, submitTo, submitOn, submitToEach, addHost };
}

async function pass(ms: number): Promise<void> {
  vi.advanceTimersByTime(ms);
  await turn();
  await turn();
}

/** What SoftHSM takes for a MAC. */
const FAST_MS = 0.01;

function texts(count: number, prefix = 'call'): string[] {
  return Array.from({ length: count }, (_, number) => `${prefix} ${number}`);
}

/** The options of a client's call. */
function of(client: string): Partial<CallOptions> {
  return { signal: Object.assign(new AbortController().signal, { client }) };
}

function expectReason(work: Promise<unknown>, reason: ErrorReason): Promise<void> {
  return expect(work).rejects.toMatchObject({ reason });
}

function caller() {
  const controller = new AbortController();
  const leave = () => controller.abort(new SigildError('CANCELLED', 'gone'));
  return { signal: controller.signal, leave };
}

describe('calls', () => {
  test('reach a lane and come back with their answers', async () => {
    const { submit, addHost } = startDispatcher();
    const host = addHost();

    const call = submit('call');
    await turn();
    host.answerAll();

    expect(await call).toBe('call');
  });

  test('of one turn share the free lanes fairly', async () => {
    const { submit, addHost } = startDispatcher();
    const host = addHost(4);

    for (const text of texts(4)) void submit(text);
    await turn();

    expect(host.sessions.map((session) => session.batches)).toEqual(
      expect.arrayContaining(texts(4).map((text) => [[text]])),
    );
  });

  test('that arrive while every lane is busy travel together, in order of arrival', async () => {
    const { submit, addHost } = startDispatcher();
    const host = addHost();
    void submit('first');
    await turn();

    for (const text of texts(3)) void submit(text);
    await turn();
    host.answerAll();
    await turn();
    await turn();

    expect(host.sessions[0]?.batches).toEqual([['first'], texts(3)]);
  });

  test('leave a fair part to the lanes that are still busy', async () => {
    const { submit, addHost } = startDispatcher();
    const host = addHost(2);
    for (const text of ['first', 'second']) void submit(text);
    await turn();

    for (const text of texts(4)) void submit(text);
    await turn();

    expect(host.sessions.map(({ pending }) => pending.length)).toEqual([3, 3]);
  });

  test('are given to a lane up to 256 ahead', async () => {
    const { submit, addHost } = startDispatcher();
    for (const text of texts(300)) void submit(text);

    const host = addHost();
    for (const session of host.sessions) session.workedMs = FAST_MS;
    for (let batches = 0; batches < 2; batches++) {
      await turn();
      await turn();
      host.answerAll();
    }

    const sizes = host.sessions[0]?.batches.map((batch) => batch.length);
    expect(sizes).toEqual([256, 44]);
  });

  test('travel together as long as they have 256 KiB at the most, and one more', async () => {
    const { submit, addHost } = startDispatcher();
    for (let calls = 0; calls < 6; calls++) void submit('x'.repeat(100 * 1024));

    const host = addHost();
    await turn();

    expect(host.sessions[0]?.batches.map((batch) => batch.length)).toEqual([3, 3]);
  });

  test('go to the host that has most lanes free', async () => {
    const { submit, addHost } = startDispatcher();
    const busy = addHost(2);
    void submit('first');
    await turn();
    const idle = addHost(2);

    void submit('second');
    await turn();

    expect([busy.pending, idle.pending]).toEqual([['first'], ['second']]);
  });

  test('go to the host that has most lanes free, in whatever order the hosts came', async () => {
    const { submit, addHost } = startDispatcher();
    const [large, small] = [addHost(2), addHost(1)];

    void submit('call');
    await turn();

    expect([large.pending, small.pending]).toEqual([['call'], []]);
  });

  test('wait for a host while there is none', async () => {
    const { submit, addHost } = startDispatcher();
    const call = submit('call');
    await turn();

    const host = addHost();
    await turn();
    host.answerAll();

    expect(await call).toBe('call');
  });
});

describe('on a token that makes a MAC in 0.01 ms', () => {
  async function startFast(sessions: number) {
    const { submit, addHost } = startDispatcher();
    const host = addHost(sessions);
    for (const session of host.sessions) session.workedMs = FAST_MS;
    void submit('the first');
    await turn();
    host.answerAll();
    await turn();
    await turn();
    return { submit, host };
  }

  test('calls of one turn go to one lane together', async () => {
    const { submit, host } = await startFast(4);

    for (const text of texts(32)) void submit(text);
    await turn();

    expect(host.sessions.map(({ pending }) => pending.length).sort()).toEqual([0, 0, 0, 32]);
  });

  test('calls go to the lane that works', async () => {
    const { submit, host } = await startFast(4);
    void submit('working');
    await turn();

    for (const text of texts(3)) void submit(text);
    await turn();

    const pending = host.sessions.map((session) => session.pending.map(({ text }) => text));
    expect(pending).toEqual(expect.arrayContaining([[], ['working', ...texts(3)]]));
  });

  test('calls wait no longer than 5 ms for a lane from which nothing is heard', async () => {
    const { submit, host } = await startFast(2);
    void submit('hanging');
    await turn();

    void submit('waiting');
    await pass(10);

    expect([...host.pending].sort()).toEqual(['hanging', 'waiting']);
  });

  test('a call of unknown length goes to a free lane for itself', async () => {
    const { submit, host } = await startFast(3);
    void submit('working');
    await turn();

    void submit('a search', { macs: 0 });
    for (const text of texts(2)) void submit(text);
    await turn();

    const pending = host.sessions.map((session) => session.pending.map(({ text }) => text));
    expect(pending).toEqual(expect.arrayContaining([[], ['working', ...texts(2)], ['a search']]));
  });

  test('no call travels behind one of unknown length', async () => {
    const { submit, host } = await startFast(1);
    for (const text of ['one', 'two']) void submit(text);
    void submit('a search', { macs: 0 });
    void submit('three');

    for (let batches = 0; batches < 4; batches += 1) {
      await turn();
      await turn();
      host.answerAll();
    }

    expect(host.sessions[0]?.batches.slice(1)).toEqual([['one', 'two'], ['a search'], ['three']]);
  });
});

describe('the queue', () => {
  test('refuses what is over its limit, and says when to try again', async () => {
    const { submit, addHost } = startDispatcher(2);
    const taken = [submit('one'), submit('two')];

    const refused = submit('three');

    await expect(refused).rejects.toMatchObject({
      reason: 'POOL_SATURATED',
      retryAfterMs: expect.any(Number),
    });
    const host = addHost();
    await turn();
    host.answerAll();
    expect(await Promise.all(taken)).toEqual(['one', 'two']);
  });

  test('has room again when a caller leaves it', async () => {
    const { submit } = startDispatcher(2);
    const leaver = caller();
    const left = submit('one', { signal: leaver.signal });
    void submit('two');

    leaver.leave();
    const taken = submit('three');
    const refused = submit('four');

    await expectReason(left, 'CANCELLED');
    await expectReason(refused, 'POOL_SATURATED');
    expect(await Promise.race([taken, 'waiting'])).toBe('waiting');
  });

  test('has a place for a client with less than the others, at the cost of the one with most', async () => {
    const { submit, addHost } = startDispatcher(4);
    const greedy = texts(3, 'greedy').map((text) => submit(text, of('greedy')));
    const modest = [submit('modest', of('modest'))];

    modest.push(submit('modest again', of('modest')));
    const refused = submit('modest once more', of('modest'));

    await expectReason(greedy[2] as Promise<string>, 'POOL_SATURATED');
    await expectReason(refused, 'POOL_SATURATED');
    const host = addHost();
    await turn();
    host.answerAll();
    expect(await Promise.all([...greedy.slice(0, 2), ...modest])).toHaveLength(4);
  });

  test('gives clients turns, so that no one waits for all that another has waiting', async () => {
    const { submit, addHost } = startDispatcher();
    for (const text of texts(900, 'greedy')) void submit(text, of('greedy'));
    void submit('modest', of('modest'));

    const host = addHost();
    await turn();

    expect(host.received).toHaveLength(256);
    expect(host.received).toContain('modest');
  });

  test('gives no lane the call of a caller who has left it', async () => {
    const { submit, addHost } = startDispatcher();
    const leaver = caller();
    void submit('one', { signal: leaver.signal });
    void submit('two');

    leaver.leave();
    const host = addHost();
    await turn();

    expect(host.pending).toEqual(['two']);
  });

  test('takes no call of a caller who has gone', async () => {
    const { submit, addHost } = startDispatcher();
    const gone = caller();
    gone.leave();
    const host = addHost();

    await expectReason(submit('call', { signal: gone.signal }), 'CANCELLED');
    await turn();

    expect(host.pending).toEqual([]);
  });
});

describe('a call for one host', () => {
  test('comes ahead of all that wait', async () => {
    const { submit, submitTo, addHost } = startDispatcher();
    const host = addHost();
    void submit('first');
    await turn();
    void submit('waiting');
    const urgent = submitTo(host, 'urgent');

    host.answerAll();
    await turn();
    await turn();

    expect(host.pending).toEqual(['urgent', 'waiting']);
    host.answerAll();
    expect(await urgent).toBe('urgent');
  });

  test('is not made for a caller who has left', async () => {
    const { submit, submitTo, addHost } = startDispatcher();
    const host = addHost();
    void submit('first');
    await turn();
    const leaver = caller();
    const urgent = submitTo(host, 'urgent', { signal: leaver.signal });

    leaver.leave();
    host.answerAll();
    await turn();
    await turn();

    await expectReason(urgent, 'CANCELLED');
    expect(host.pending).toEqual([]);
  });

  test('fails when that host is lost, and goes to no other one', async () => {
    const { dispatcher, submitTo, submit, addHost } = startDispatcher();
    const host = addHost();
    void submit('first');
    await turn();
    const urgent = submitTo(host, 'urgent', { repeatable: false });
    const other = addHost();

    dispatcher.loseHost(host, new Error('lost'));
    await host.exit();
    await turn();

    await expect(urgent).rejects.toBeInstanceOf(HostLost);
    expect(other.pending).toEqual(['first']);
  });

  test('fails at once when that host has gone', async () => {
    const { submitTo } = startDispatcher();

    await expect(submitTo(new FakeHost(), 'urgent')).rejects.toBeInstanceOf(HostLost);
  });
});

describe('when a host is lost', () => {
  async function loseOneOfTwo(options: Partial<CallOptions> = {}) {
    const started = startDispatcher();
    const host = started.addHost();
    const call = started.submit('call', options);
    await turn();
    const other = started.addHost();
    started.dispatcher.loseHost(host, new Error('lost'));
    await turn();
    return { ...started, host, other, call };
  }

  test('it is killed, serves no more, and is told of once', async () => {
    const { dispatcher, host, other, lost } = await loseOneOfTwo();

    dispatcher.loseHost(host, new Error('again'));
    await host.exit();

    expect(host.killed).toBe(true);
    expect(dispatcher.hosts).toEqual([other]);
    expect(lost).toEqual([{ host, reason: 'lost' }]);
  });

  test('its calls go to another one, when its process has ended and not before', async () => {
    const { host, other, call } = await loseOneOfTwo();
    const early = other.pending;

    await host.exit();
    await turn();
    expect([early, other.pending]).toEqual([[], ['call']]);

    other.answerAll();
    expect(await call).toBe('call');
  });

  test('its calls come ahead of those that wait, in their order', async () => {
    const { dispatcher, submit, addHost } = startDispatcher();
    for (const text of texts(2, 'lost')) void submit(text);
    const host = addHost();
    await turn();
    for (const text of texts(2)) void submit(text);
    dispatcher.loseHost(host, new Error('lost'));
    await host.exit();

    const other = addHost();
    await turn();

    expect(other.sessions[0]?.batches).toEqual([[...texts(2, 'lost'), ...texts(2)]]);
  });

  test('a call that has lost two hosts fails', async () => {
    const { dispatcher, host, other, call, submit } = await loseOneOfTwo();
    await host.exit();
    await turn();

    dispatcher.loseHost(other, new Error('lost too'));
    void submit('later');
    await other.exit();

    await expect(call).rejects.toBeInstanceOf(HostLost);
  });

  test('a call that must not be done twice fails, when the process has ended', async () => {
    const { host, other, call } = await loseOneOfTwo({ repeatable: false });
    expect(await Promise.race([call, 'waiting'])).toBe('waiting');

    await host.exit();

    await expect(call).rejects.toMatchObject({
      reason: 'TOKEN_UNAVAILABLE',
      cause: { message: 'lost' },
    });
    expect(other.pending).toEqual([]);
  });

  test('a call of a caller who has left is not done again', async () => {
    const leaver = caller();
    const { host, other, call } = await loseOneOfTwo({ signal: leaver.signal });

    leaver.leave();
    await host.exit();
    await turn();

    await expectReason(call, 'CANCELLED');
    expect(other.pending).toEqual([]);
  });

  test('its late answers settle nothing', async () => {
    const { host, call } = await loseOneOfTwo();

    host.answerAll();
    await turn();

    expect(await Promise.race([call, 'waiting'])).toBe('waiting');
  });

  test.each([
    ['ends', (host: FakeHost) => host.exit('ended by SIGSEGV'), /the token host ended by SIGSEGV/],
    ['closes a pipe', (host: FakeHost) => host.sessions[1]?.close(), /closed its pipe/],
    ['sends garbage', (host: FakeHost) => host.sessions[1]?.pipe.push(Buffer.alloc(13)), /.*/],
  ] as const)('it is because it %s', async (_, lose, reason) => {
    const { lost, addHost } = startDispatcher();
    const host = addHost(2);

    await lose(host);
    await turn();

    expect(lost).toEqual([{ host, reason: expect.stringMatching(reason) }]);
    expect(host.killed).toBe(true);
  });

  test('it is because an answer was made with another key, and the call is done elsewhere', async () => {
    const { submit, addHost } = startDispatcher();
    const suspect = addHost();
    const check = () => {
      if (suspect.ended) return undefined;
      throw new Error('another key');
    };
    const call = submit('call', { check });
    await turn();

    suspect.answerAll();
    await turn();
    await suspect.exit();
    const trusted = addHost();
    await turn();
    trusted.answerAll();

    expect(suspect.killed).toBe(true);
    expect(await call).toBe('call');
  });
});

describe('a call that hangs', () => {
  const limitMs = 1_000;

  test('fails, and what waited behind it on its killed host is done elsewhere', async () => {
    const { submit, addHost, lost } = startDispatcher();
    const [hung, ...behind] = texts(3).map((text) => submit(text, { limitMs }));
    const host = addHost();
    await turn();
    await pass(limitMs + 100);
    const other = addHost();

    await host.exit();
    await turn();
    other.answerAll();

    await expectReason(hung ?? Promise.resolve(), 'DEADLINE_EXCEEDED');
    expect(await Promise.all(behind)).toEqual(['call 1', 'call 2']);
    expect(host.killed).toBe(true);
    expect(lost).toEqual([{ host, reason: expect.stringContaining('more than 1000 ms') }]);
  });

  test('fails on every lane that has one', async () => {
    const { submit, addHost } = startDispatcher();
    const calls = texts(3).map((text) => submit(text, { limitMs }));
    const host = addHost(3);
    await turn();
    host.sessions[2]?.answer();

    await pass(limitMs + 100);

    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(host.killed).toBe(true);
  });

  test('costs no other host', async () => {
    const { submit, addHost, dispatcher } = startDispatcher();
    void submit('hung', { limitMs });
    const host = addHost();
    await turn();
    const other = addHost();
    const call = submit('call', { limitMs: 10 * limitMs });
    await turn();

    await pass(limitMs + 100);
    other.answerAll();

    expect(await call).toBe('call');
    expect(host.killed).toBe(true);
    expect(dispatcher.hosts).toEqual([other]);
  });

  test('is not one that takes as long as it may', async () => {
    const { submit, addHost, lost } = startDispatcher();
    const call = submit('slow', { limitMs });
    const host = addHost();
    await turn();

    await pass(limitMs);
    host.answerAll();

    expect(await call).toBe('slow');
    expect(lost).toEqual([]);
  });

  test('is not one whose answer came while this process itself was stopped', async () => {
    const { submit, addHost, lost } = startDispatcher();
    const call = submit('call', { limitMs });
    const host = addHost();
    await turn();

    vi.advanceTimersByTime(10_000);
    host.answerAll();

    expect(await call).toBe('call');
    await turn();
    expect(lost).toEqual([]);
  });
});

describe('while the token is away', () => {
  test('calls that wait and calls that come are refused at once, until a host is there', async () => {
    const { dispatcher, submit, addHost } = startDispatcher();
    const waiting = submit('waiting');

    dispatcher.failFast('the token is away');
    const late = submit('late');

    for (const refused of [waiting, late]) {
      await expect(refused).rejects.toMatchObject({
        reason: 'TOKEN_UNAVAILABLE',
        message: 'the token is away',
        retryAfterMs: expect.any(Number),
      });
    }
    const host = addHost();
    const call = submit('call');
    await turn();
    host.answerAll();
    expect(await call).toBe('call');
  });

  test('calls of a host that ends later are refused too', async () => {
    const { dispatcher, submit, addHost } = startDispatcher();
    const host = addHost();
    const call = submit('call');
    await turn();
    dispatcher.loseHost(host, new Error('lost'));

    dispatcher.failFast('the token is away');
    await host.exit();

    await expect(call).rejects.toMatchObject({ message: 'the token is away' });
  });
});

describe('close', () => {
  test('refuses what waits and what comes, and gives back the hosts', async () => {
    const { dispatcher, submit, submitTo, addHost } = startDispatcher();
    const host = addHost();
    void submit('first');
    await turn();
    const refused = [submit('waiting'), submitTo(host, 'urgent')];

    const hosts = dispatcher.close();
    refused.push(submit('late'), submitTo(host, 'late'));

    expect(hosts).toEqual([host]);
    for (const call of refused) await expectReason(call, 'SHUTTING_DOWN');
  });

  test('lets a call that is with a lane be answered, and tells of no loss', async () => {
    const { dispatcher, submit, addHost, lost } = startDispatcher();
    const host = addHost();
    const call = submit('call');
    await turn();

    dispatcher.close();
    host.answerAll();

    expect(await call).toBe('call');
    await host.exit('exited with 0');
    expect(lost).toEqual([]);
  });

  test('fails what a host had not answered when it ended', async () => {
    const { dispatcher, submit, addHost } = startDispatcher();
    const host = addHost();
    const calls = [submit('one'), submit('two', { repeatable: false })];
    await turn();

    dispatcher.close();
    await host.exit();

    await expectReason(calls[0] ?? Promise.resolve(), 'SHUTTING_DOWN');
    await expect(calls[1]).rejects.toBeInstanceOf(HostLost);
  });

  test('is final: a host that comes later is killed', async () => {
    const { dispatcher, submit, addHost } = startDispatcher();
    dispatcher.close();

    const host = addHost();
    dispatcher.failFast('the token is away');

    expect(host.killed).toBe(true);
    await expectReason(submit('call'), 'SHUTTING_DOWN');
  });

  test('leaves no timer behind', () => {
    const { dispatcher } = startDispatcher();

    dispatcher.close();

    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('a call for every lane', () => {
  test('reaches each lane of each host, behind what it has, and ends with the last answer', async () => {
    const { submit, submitToEach, addHost } = startDispatcher();
    const hosts = [addHost(2), addHost(1)];
    for (const text of texts(3)) void submit(text);
    await turn();
    let isDone = false;

    const done = submitToEach('forget').then(() => {
      isDone = true;
    });
    await turn();

    const sessions = hosts.flatMap((host) => host.sessions);
    for (const { pending } of sessions) {
      expect(pending.map(({ text }) => text)).toEqual([expect.stringMatching(/^call/), 'forget']);
    }
    hosts[0]?.answerAll();
    hosts[1]?.sessions[0]?.answer();
    await turn();
    expect(isDone).toBe(false);
    hosts[1]?.answerAll();
    await done;
  });

  test('waits for no room, however many calls wait', async () => {
    const { submit, submitToEach, addHost } = startDispatcher(2);
    const host = addHost();
    for (const text of texts(3)) void submit(text, { macs: 0 });
    await turn();

    const done = submitToEach('forget');
    await turn();

    expect(host.pending).toEqual(['call 0', 'forget']);
    host.answerAll();
    await done;
  });

  test('is done where its host is lost', async () => {
    const { submitToEach, addHost } = startDispatcher();
    const [lost, other] = [addHost(2), addHost()];

    const done = submitToEach('forget');
    await turn();
    other.answerAll();
    await lost.exit();

    await expect(done).resolves.toBeUndefined();
  });

  test('is done where it hangs, and its host is killed', async () => {
    const { submitToEach, addHost, lost } = startDispatcher();
    const host = addHost(2);

    const done = submitToEach('forget', { limitMs: 1 });
    await turn();
    host.sessions[0]?.answer();
    await pass(1_000);
    expect(lost).toHaveLength(1);
    await host.exit();

    await expect(done).resolves.toBeUndefined();
  });

  test('fails with what a lane answers that goes on serving', async () => {
    const { submitToEach, addHost } = startDispatcher();
    const host = addHost(2);

    const done = submitToEach('forget');
    await turn();
    host.sessions[0]?.answer();
    host.sessions[1]?.fail(new SigildError('INTERNAL', 'a defect'));

    await expectReason(done, 'INTERNAL');
  });

  test('is nothing where there is no host', async () => {
    const { submitToEach } = startDispatcher();

    await expect(submitToEach('forget')).resolves.toBeUndefined();
  });

  test('ends with its caller', async () => {
    const { submitToEach, addHost } = startDispatcher();
    addHost();
    const { signal, leave } = caller();

    const done = submitToEach('forget', { signal });
    leave();

    await expectReason(done, 'CANCELLED');
  });
});

describe('a step of a message that comes in pieces', () => {
  test('goes to its lane at once, whatever waits', async () => {
    const { submit, submitOn, addHost } = startDispatcher();
    const host = addHost();
    void submit('long', { macs: 0 });
    await turn();
    void submit('waits');
    await turn();

    const answer = submitOn(host, 'step');

    expect(host.pending).toEqual(['long', 'step']);
    host.answerAll();
    expect(await answer).toBe('step');
  });

  test('keeps no call of unknown length waiting, however many steps follow', async () => {
    const { submit, submitOn, addHost } = startDispatcher();
    const host = addHost();
    void submitOn(host, 'step 1');

    void submit('long', { macs: 0 });
    await turn();

    expect(host.pending).toEqual(['step 1', 'long']);
  });

  test('keeps no other call waiting', async () => {
    const { submit, submitOn, addHost } = startDispatcher();
    const host = addHost();
    void submitOn(host, 'step');

    void submit('mac');
    await turn();

    expect(host.pending).toEqual(['step', 'mac']);
  });

  test('makes no lane one for others that does nobody knows what', async () => {
    const { submit, submitOn, addHost } = startDispatcher();
    const host = addHost();
    void submit('long', { macs: 0 });
    await turn();
    void submitOn(host, 'step');

    void submit('mac');
    await turn();

    expect(host.pending).toEqual(['long', 'step']);
  });

  test('fails when its host is lost, and goes to no other one', async () => {
    const { dispatcher, submitOn, addHost } = startDispatcher();
    const [host, other] = [addHost(), addHost()];
    const answer = submitOn(host, 'step');

    dispatcher.loseHost(host, new Error('hung'));
    await host.exit();

    await expect(answer).rejects.toThrow(HostLost);
    await expect(submitOn(host, 'another')).rejects.toThrow(HostLost);
    expect(other.received).toEqual([]);
  });

  test('that hangs costs its host', async () => {
    const { lost, submitOn, addHost } = startDispatcher();
    const host = addHost();
    const answer = submitOn(host, 'step', { limitMs: 500 });

    await pass(700);

    await expect(answer).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    expect(lost.map((one) => one.host)).toEqual([host]);
  });
});
