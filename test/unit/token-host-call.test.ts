import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import { Call, type CallOptions, HostLost } from '../../src/token-host/call.ts';
import { textFrame } from '../support/fake-host.ts';

const gone = new SigildError('CANCELLED', 'gone');
const refusal = new SigildError('TOKEN_REFUSED', 'refused');

function startCall(options: Partial<CallOptions> = {}) {
  const caller = new AbortController();
  const call = new Call(textFrame('call'), {
    repeatable: true,
    macs: 1,
    limitMs: 1_000,
    signal: caller.signal,
    ...options,
  });
  return { call, caller };
}

describe('a call', () => {
  test('settles with its answer', async () => {
    const { call } = startCall();

    call.succeed(Buffer.from('answer'));

    expect(await call.answer).toEqual(Buffer.from('answer'));
    expect(call.settled).toBe(true);
  });

  test('settles once: what comes first counts', async () => {
    const { call, caller } = startCall();

    call.fail(refusal);
    call.succeed(Buffer.from('answer'));
    caller.abort(gone);
    call.fail(gone);

    await expect(call.answer).rejects.toBe(refusal);
  });

  test('rejects with the reason of its signal as soon as that aborts', async () => {
    const { call, caller } = startCall();

    caller.abort(gone);

    expect(call.settled).toBe(true);
    await expect(call.answer).rejects.toBe(gone);
  });

  test('listens to its signal until it settles, and not longer', async () => {
    const { call, caller } = startCall();
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(1);

    call.succeed(Buffer.from('answer'));
    await call.answer;

    expect(getEventListeners(caller.signal, 'abort')).toEqual([]);
  });

  test('passes on no answer that its check refuses', async () => {
    const { call } = startCall({ check: () => refusal });

    call.succeed(Buffer.from('answer'));

    await expect(call.answer).rejects.toBe(refusal);
  });

  test('stays open when its check says that the host must not be trusted', () => {
    const check = () => {
      throw new Error('another key');
    };
    const { call } = startCall({ check });

    expect(() => call.succeed(Buffer.from('answer'))).toThrow('another key');
    expect(call.settled).toBe(false);
  });

  test('has its answer checked when the caller has gone, since that tells of the host', async () => {
    const check = () => {
      throw new Error('another key');
    };
    const { call, caller } = startCall({ check });
    caller.abort(gone);
    await expect(call.answer).rejects.toBe(gone);

    expect(() => call.succeed(Buffer.from('answer'))).toThrow('another key');
  });
});

describe('a second attempt', () => {
  test('is made once, and not a third one', () => {
    const { call } = startCall();

    call.begin();
    expect(call.mayRepeat()).toBe(true);
    call.begin();
    expect(call.mayRepeat()).toBe(false);
  });

  test('is never made of what must not be done twice', () => {
    const { call } = startCall({ repeatable: false });

    call.begin();

    expect(call.mayRepeat()).toBe(false);
  });

  test('is not made for a caller who has gone', async () => {
    const { call, caller } = startCall();
    call.begin();

    caller.abort(gone);

    expect(call.mayRepeat()).toBe(false);
    await expect(call.answer).rejects.toBe(gone);
  });
});

test('a lost host tells the caller when to try again', () => {
  expect(new HostLost('lost')).toMatchObject({
    reason: 'TOKEN_UNAVAILABLE',
    retryAfterMs: expect.any(Number),
  });
});
