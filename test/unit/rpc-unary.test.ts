import { EventEmitter } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import type { Cancellation } from '../../src/domain/cancellation.ts';
import { SigildError } from '../../src/domain/errors.ts';
import { Admission } from '../../src/rpc/admission.ts';
import { decodeErrorDetails } from '../../src/rpc/error-details.ts';
import type { RequestRecord, RpcEnvironment } from '../../src/rpc/request.ts';
import { type UnaryHandler, unary } from '../../src/rpc/unary.ts';
import type { RequestContext } from '../../src/service/caller.ts';

const CALLER = { client: 'shop', peer: '192.0.2.1:4711' };

interface Answer {
  readonly code: number;
  readonly message?: string;
  readonly reason?: string;
  readonly value?: unknown;
}

interface CallOptions {
  readonly cancelled?: boolean;
  /** Milliseconds since 1970. */
  readonly deadline?: number;
  readonly peer?: () => string;
}

class FakeCall extends EventEmitter {
  readonly request = 'request';
  readonly #options: CallOptions;
  cancelled: boolean;

  constructor(options: CallOptions) {
    super();
    this.#options = options;
    this.cancelled = options.cancelled ?? false;
  }

  getPeer(): string {
    return this.#options.peer?.() ?? 'connection-1';
  }

  getDeadline(): number {
    return this.#options.deadline ?? Number.POSITIVE_INFINITY;
  }

  /** What gRPC does when the caller goes, and in the end with every call. */
  cancel(): void {
    this.cancelled = true;
    this.emit('cancelled', 'cancelled');
  }
}

interface SubjectOptions {
  readonly defaultDeadlineMs?: number;
  readonly respond?: () => void;
}

function subject({ defaultDeadlineMs = 10_000, respond }: SubjectOptions = {}) {
  const records: RequestRecord[] = [];
  const defects: unknown[] = [];
  const admission = new Admission({
    maxInFlight: 10,
    maxInFlightPerClient: 5,
    maxStreamsPerClient: 1,
    maxSigningStreams: 1,
    maxSigningStreamsPerClient: 1,
  });
  const environment: RpcEnvironment = {
    connections: { callerOf: (name) => (name === 'connection-1' ? CALLER : undefined) },
    admission,
    defaultDeadlineMs,
    observer: {
      onRequest: (record) => records.push(record),
      onDefect: (error) => defects.push(error),
    },
  };
  const answers: Answer[] = [];
  const start = (handle: UnaryHandler<string, string>, options: CallOptions = {}) => {
    const call = new FakeCall(options);
    const answered = new Promise<void>((resolve) => {
      const record: sendUnaryData<string> = (error, value) => {
        answers.push(error ? errorAnswer(error) : { code: status.OK, value });
        resolve();
      };
      const handler = unary('Sign', environment, handle);
      handler(call as unknown as ServerUnaryCall<string, string>, respond ?? record);
    });
    return { call, answered };
  };
  return { start, answers, records, defects, admission };
}

function errorAnswer(error: Parameters<sendUnaryData<string>>[0]): Answer {
  const [bytes] = error?.metadata?.get('grpc-status-details-bin') ?? [];
  const { reason = 'none' } = decodeErrorDetails(bytes as Buffer) ?? {};
  return { code: error?.code ?? -1, message: error?.details ?? '', reason };
}

/** A handler that waits until its signal aborts, as the token does, and keeps its context. */
function waiting() {
  const contexts: RequestContext[] = [];
  const handle = async (_: string, context: RequestContext): Promise<string> => {
    contexts.push(context);
    await new Promise<void>((resolve) => {
      context.signal.addEventListener('abort', resolve, { once: true });
    });
    throw context.signal.reason;
  };
  return { contexts, handle };
}

function held() {
  let release: (value: string) => void = () => undefined;
  const promise = new Promise<string>((resolve) => {
    release = resolve;
  });
  return { promise, release: (value: string) => release(value) };
}

test('a handler gets the request and the client that the connection belongs to', async () => {
  const { start, answers } = subject();

  await start(async (request, { client }) => `${request} of ${client}`).answered;

  expect(answers).toEqual([{ code: status.OK, value: 'request of shop' }]);
});

test('an error of sigild is answered with its reason and is no defect', async () => {
  const { start, answers, defects } = subject();

  await start(() => Promise.reject(new SigildError('KEY_NOT_FOUND', 'no such key'))).answered;

  expect(answers).toEqual([
    { code: status.NOT_FOUND, message: 'no such key', reason: 'KEY_NOT_FOUND' },
  ]);
  expect(defects).toEqual([]);
});

test.each<[string, UnaryHandler<string, string>]>([
  ['rejects', () => Promise.reject(new TypeError('secret'))],
  [
    'throws',
    () => {
      throw new TypeError('secret');
    },
  ],
])('a defect that %s is answered without its message and told to the log', async (_, handle) => {
  const { start, answers, defects, records } = subject();

  await start(handle).answered;

  expect(answers).toMatchObject([{ code: status.INTERNAL, reason: 'INTERNAL' }]);
  expect(answers[0]?.message).not.toContain('secret');
  expect(answers[0]?.message).toContain(records[0]?.requestId);
  expect(defects).toEqual([new TypeError('secret')]);
});

test('an INTERNAL error of sigild is told to the log as well', async () => {
  const { start, defects } = subject();
  const error = new SigildError('INTERNAL', 'cannot be', { cause: new Error('why') });

  await start(() => Promise.reject(error)).answered;

  expect(defects).toEqual([error]);
});

test('an answer that cannot be sent is a defect and escapes nowhere', async () => {
  const { start, defects } = subject({
    respond: () => {
      throw new Error('broken stream');
    },
  });

  start(async () => 'answer');
  await pause(0);

  expect(defects).toEqual([new Error('broken stream')]);
});

test('a caller who has gone already costs no work', async () => {
  const { start, answers } = subject();
  let isCalled = false;

  await start(
    async () => {
      isCalled = true;
      return '';
    },
    { cancelled: true },
  ).answered;

  expect(isCalled).toBe(false);
  expect(answers).toMatchObject([{ code: status.CANCELLED, reason: 'CANCELLED' }]);
});

test.each<[string, () => string]>([
  ['is not known', () => 'connection-2'],
  [
    'has ended',
    () => {
      throw new Error('ERR_HTTP2_SOCKET_UNBOUND');
    },
  ],
])('a call of a connection that %s reaches no handler', async (_, peer) => {
  const { start, answers } = subject();
  let isCalled = false;

  await start(
    async () => {
      isCalled = true;
      return '';
    },
    { peer },
  ).answered;

  expect(isCalled).toBe(false);
  expect(answers).toMatchObject([{ reason: 'CANCELLED' }]);
});

test('the signal says CANCELLED when the caller goes', async () => {
  const { start, answers, records } = subject();
  const { handle, contexts } = waiting();

  const { call, answered } = start(handle, { deadline: Date.now() + 60_000 });
  call.cancel();
  await answered;

  expect(contexts[0]?.signal.reason).toMatchObject({ reason: 'CANCELLED' });
  expect(answers).toHaveLength(1);
  expect(records).toMatchObject([{ outcome: 'CANCELLED' }]);
});

test("the signal says DEADLINE_EXCEEDED when gRPC ends the call at the client's deadline", async () => {
  const { start } = subject();
  const { handle, contexts } = waiting();

  const { call, answered } = start(handle, { deadline: Date.now() });
  call.cancel();
  await answered;

  expect(contexts[0]?.signal.reason).toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
});

test('a call without a deadline is answered after the default time', async () => {
  const { start, answers } = subject({ defaultDeadlineMs: 5 });

  await start(waiting().handle).answered;

  expect(answers).toMatchObject([{ code: status.DEADLINE_EXCEEDED, reason: 'DEADLINE_EXCEEDED' }]);
});

test('the default time does not shorten a deadline that the client sets', async () => {
  const { start } = subject({ defaultDeadlineMs: 5 });
  const { handle, contexts } = waiting();

  const { call, answered } = start(handle, { deadline: Date.now() + 60_000 });
  await pause(20);

  expect(contexts[0]?.signal.aborted).toBe(false);
  call.cancel();
  await answered;
});

test('the end of an answered call aborts nothing', async () => {
  const { start } = subject();
  const signals: Cancellation[] = [];

  const { call, answered } = start(async (_, { signal }) => {
    signals.push(signal);
    return '';
  });
  await answered;
  await pause(0);
  call.cancel();

  expect(signals[0]?.aborted).toBe(false);
});

test('a request counts as in flight until its handler ends, though its caller has gone', async () => {
  const { start, admission } = subject();
  const { promise, release } = held();

  const { call, answered } = start(() => promise);
  call.cancel();
  expect(admission.inFlight).toBe(1);
  release('late');
  await answered;

  expect(admission.inFlight).toBe(0);
});

test('a request that fails no longer counts as in flight', async () => {
  const { start, admission } = subject();

  await start(() => Promise.reject(new Error('defect'))).answered;

  expect(admission.inFlight).toBe(0);
});

test('a request beyond the limit of its client is refused before it costs anything', async () => {
  const { start, answers } = subject();
  const { promise, release } = held();
  const calls = Array.from({ length: 5 }, () => start(() => promise));

  await start(async () => 'never').answered;

  expect(answers).toMatchObject([{ code: status.RESOURCE_EXHAUSTED, reason: 'CLIENT_SATURATED' }]);
  release('done');
  await Promise.all(calls.map(({ answered }) => answered));
});

test('every request is told to whoever wants to know', async () => {
  const { start, records } = subject();

  await start(async () => '').answered;
  await pause(0);

  expect(records).toEqual([
    {
      requestId: expect.stringMatching(/^[0-9a-f]{8}-\d+$/),
      method: 'Sign',
      client: 'shop',
      peer: '192.0.2.1:4711',
      outcome: 'OK',
      durationMs: expect.any(Number),
    },
  ]);
});
