import { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import type { Cancellation } from '../../src/domain/cancellation.ts';
import { Admission } from '../../src/rpc/admission.ts';
import { Pipelines } from '../../src/rpc/pipeline.ts';

const MAX_UNANSWERED_FRAMES = 64;
const MAX_STREAMS_PER_CLIENT = 10;

/** A stream of gRPC's: what a client sends is pushed into it, and answers are kept. */
class FakeCall extends Duplex {
  readonly answers: unknown[] = [];
  deadlineMs = Number.POSITIVE_INFINITY;
  cancelled = false;

  /** The error that it was ended with. */
  failure: unknown;

  constructor() {
    super({ objectMode: true });
    this.on('error', (error) => {
      this.failure = error;
    });
  }

  override _read(): void {}

  override _write(answer: unknown, _: string, taken: () => void): void {
    this.answers.push(answer);
    taken();
  }

  getDeadline(): number {
    return this.deadlineMs;
  }

  getPeer(): string {
    return 'connection-1';
  }

  send(frames: number): void {
    const sign = { key: 'shop', data: [Buffer.from('data')] };
    for (let sent = 0; sent < frames; sent++) this.push({ correlationId: sent, sign });
  }

  /** What gRPC does when the client goes. */
  cancel(): void {
    this.cancelled = true;
    this.emit('cancelled', 'cancelled');
    this.destroy();
  }
}

function subject() {
  const defects: unknown[] = [];
  const outcomes: string[] = [];
  const admission = new Admission({
    maxInFlight: 1_000,
    maxInFlightPerClient: 1_000,
    maxStreamsPerClient: MAX_STREAMS_PER_CLIENT,
    maxSigningStreams: 1,
    maxSigningStreamsPerClient: 1,
  });
  let begun = 0;
  const abortable = async (signal: Cancellation): Promise<never> => {
    begun += 1;
    await new Promise((resolve) =>
      signal.addEventListener('abort', () => resolve(undefined), { once: true }),
    );
    throw signal.reason;
  };
  const pipelines = new Pipelines(
    {
      sign: ({ signal }) => abortable(signal),
      verify: ({ signal }) => abortable(signal),
    },
    {
      connections: { callerOf: () => ({ client: 'shop', peer: '192.0.2.1:4711' }) },
      admission,
      defaultDeadlineMs: 10_000,
      observer: {
        onRequest: ({ outcome }) => outcomes.push(outcome),
        onDefect: (error) => defects.push(error),
      },
    },
  );
  const serve = () => {
    const call = new FakeCall();
    pipelines.serve(call as unknown as Parameters<Pipelines['serve']>[0]);
    return call;
  };
  return { serve, pipelines, admission, defects, outcomes, begun: () => begun };
}

test('a stream that is cancelled begins no frame that it had not begun', async () => {
  const { serve, admission, begun } = subject();
  const call = serve();
  call.send(2 * MAX_UNANSWERED_FRAMES);
  await pause(0);

  call.cancel();
  await pause(0);
  await pause(0);

  expect(begun()).toBe(MAX_UNANSWERED_FRAMES);
  expect(admission.inFlight).toBe(0);
});

test.each([
  ['before', 60_000, 'CANCELLED'],
  ['at', 0, 'DEADLINE_EXCEEDED'],
])(
  'a frame of a stream that ends %s its deadline has a reason that says so',
  async (_, ms, reason) => {
    const { serve, outcomes } = subject();
    const call = serve();
    call.deadlineMs = Date.now() + ms;
    call.send(1);
    await pause(0);

    call.cancel();
    await pause(0);
    await pause(0);

    expect(outcomes).toEqual([reason]);
  },
);

test('a stream over the limit of its client is refused and not read, until another one ends', async () => {
  const { serve, outcomes, begun } = subject();
  const [first] = Array.from({ length: MAX_STREAMS_PER_CLIENT }, () => serve());

  const refused = serve();
  refused.send(1);
  await pause(0);
  first?.cancel();
  await pause(0);
  const next = serve();
  next.send(1);
  await pause(0);

  expect(refused.failure).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  expect(outcomes).toEqual(['CLIENT_SATURATED']);
  expect(next.failure).toBeUndefined();
  expect(begun()).toBe(1);
});

test('a stream that comes while the server ends is not read', async () => {
  const { serve, pipelines, begun } = subject();
  pipelines.end();

  const call = serve();
  call.send(1);
  await pause(0);

  expect(begun()).toBe(0);
  expect(call.writableEnded).toBe(true);
});

test('an answer that cannot be sent is a defect and escapes nowhere', async () => {
  const { serve, defects } = subject();
  const call = serve();
  const broken = new Error('broken stream');
  call.write = () => {
    throw broken;
  };

  call.push({ correlationId: 1 });
  await pause(0);
  await pause(0);

  expect(defects).toEqual([broken]);
  call.cancel();
});
