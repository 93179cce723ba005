import { expect, onTestFinished, test } from 'vitest';
import type { CallOptions } from '../../src/token-host/call.ts';
import { Dispatcher } from '../../src/token-host/dispatcher.ts';
import { FakeHost, type FakeSession, textFrame, turn } from '../support/fake-host.ts';

function startDispatcher(...sessions: readonly number[]) {
  const dispatcher = new Dispatcher<FakeHost>({ maxWaiting: 100, onHostLost: () => undefined });
  onTestFinished(() => void dispatcher.close());
  const hosts = sessions.map((count) => new FakeHost(count));
  for (const host of hosts) dispatcher.addHost(host);
  const submit = (text: string, options: Partial<CallOptions> = {}) => {
    const { signal } = new AbortController();
    const shared = { repeatable: true, macs: 1, limitMs: 60_000, signal };
    const answer = dispatcher.submit(textFrame(text), { ...shared, ...options }).then(String);
    // A test looks at the outcomes that it is about.
    answer.catch(() => undefined);
    return answer;
  };
  const pin = (text: string, options: Partial<CallOptions> = {}) =>
    submit(text, { macs: 0, pinned: true, ...options });
  return { dispatcher, hosts, submit, pin };
}

function sessionsOf(host: FakeHost | undefined): [FakeSession, FakeSession] {
  return (host?.sessions ?? []) as [FakeSession, FakeSession];
}

function firstSession(host: FakeHost | undefined): FakeSession {
  return sessionsOf(host)[0];
}

test('a pinned call goes to the first lane of the host that has served longest', async () => {
  const { hosts, pin } = startDispatcher(2, 3);

  for (const text of ['one', 'two']) {
    const answer = pin(text);
    await turn();
    firstSession(hosts[0]).answer();
    expect(await answer).toBe(text);
  }

  expect(firstSession(hosts[0]).batches).toEqual([['one'], ['two']]);
});

test('it waits until that lane has nothing else to do, which gets nothing before it', async () => {
  const { hosts, submit, pin } = startDispatcher(2);
  const [first, second] = sessionsOf(hosts[0]);
  for (const text of ['a', 'b']) void submit(text, { macs: 0 });
  await turn();

  void pin('pinned');
  void submit('c', { macs: 0 });
  second.answer();
  await turn();
  first.answer();
  await turn();

  expect(first.batches.at(-1)).toEqual(['pinned']);
  expect(second.batches.at(-1)).toEqual(['c']);
});

test('calls behind it do not wait for it', async () => {
  const { hosts, submit, pin } = startDispatcher(2);
  const [first, second] = sessionsOf(hosts[0]);
  for (const text of ['a', 'b']) void submit(text, { macs: 0 });
  await turn();

  void pin('pinned');
  const behind = submit('behind');
  second.answer();
  await turn();
  second.answer();

  expect(await behind).toBe('behind');
  expect(first.batches.flat()).not.toContain('pinned');
});

test('with that host lost it goes to the one that has served longest then', async () => {
  const { hosts, pin } = startDispatcher(1, 1, 1);
  const answer = pin('pinned');
  await turn();

  firstSession(hosts[0]).loseToken();
  await turn();
  await hosts[0]?.exit();
  await turn();
  hosts[1]?.answerAll();

  expect(await answer).toBe('pinned');
});

test('it waits for a host while there is none', async () => {
  const { dispatcher, pin } = startDispatcher();
  const answer = pin('pinned');
  await turn();
  const host = new FakeHost(1);

  dispatcher.addHost(host);
  await turn();
  host.answerAll();

  expect(await answer).toBe('pinned');
});

test('one whose caller has gone is not given to the lane, nor keeps it free', async () => {
  const { hosts, submit, pin } = startDispatcher(1);
  const caller = new AbortController();
  void submit('busy', { macs: 0 });
  await turn();
  const left = pin('left', { signal: caller.signal });
  await turn();

  caller.abort(new Error('gone'));
  const next = submit('next');
  hosts[0]?.answerAll();
  await turn();
  hosts[0]?.answerAll();

  await expect(left).rejects.toThrow('gone');
  expect(await next).toBe('next');
  expect(hosts[0]?.received).toEqual(['busy', 'next']);
});

test('one that waits is refused when the dispatcher closes', async () => {
  const { dispatcher, submit, pin } = startDispatcher(1);
  void submit('busy', { macs: 0 });
  await turn();
  const waiting = pin('pinned');
  await turn();

  dispatcher.close();

  await expect(waiting).rejects.toMatchObject({ reason: 'SHUTTING_DOWN' });
});
