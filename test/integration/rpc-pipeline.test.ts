import { createHmac, randomBytes } from 'node:crypto';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { namePattern } from '../../src/domain/name-pattern.ts';
import type { PipelineResponse__Output } from '../../src/generated/sigild/v1/PipelineResponse.ts';
import { v1 } from '../../src/rpc/proto.ts';
import { FINGERPRINT_TEXT } from '../../src/service/reserved-text.ts';
import {
  type BatchClient,
  connectBatchClient,
  type Frame,
  frameFailure,
  STREAM_ENDED,
  type TestPipeline,
} from '../support/batch-client.ts';
import { failureOf } from '../support/client.ts';
import { sendRequest, statusOf } from '../support/http2-client.ts';
import {
  EVERYTHING,
  MAX_DATA_BYTES,
  type RpcFixture,
  type RpcFixtureOptions,
  startRpc,
} from '../support/rpc-fixture.ts';
import { until } from '../support/wait.ts';

const MAX_UNANSWERED_FRAMES = 64;
const MAX_UNANSWERED_BYTES = 16 * 1_024 * 1_024;

/** What lies between the limit of a stream and the client: gRPC's buffers on both sides. */
const FRAMES_ON_THE_WAY = 150;

/** Longer than a test may take: a drain that waits for it has failed. */
const LONG_MS = 60_000;

const PIPELINE = '/sigild.v1.SigningService/Pipeline';

const value = Buffer.alloc(32, 7);
const message = Buffer.from('a message');

let rpc: RpcFixture;
let client: BatchClient;
let stream: TestPipeline;

afterEach(async () => {
  client.close();
  await rpc.close();
});

/** A server whose key `shop` is known, so that a frame goes straight to the token. */
async function start(options: RpcFixtureOptions = {}): Promise<void> {
  rpc = startRpc(options);
  rpc.token.writeKey('shop', value);
  client = connectBatchClient(await rpc.listen());
  await client.batchSign({ key: 'shop', data: [message] });
  stream = client.pipeline();
}

function signFrame(...data: readonly Buffer[]): Frame {
  return { sign: { key: 'shop', data: [...data] } };
}

function macOf(data: Buffer): Buffer {
  return createHmac('sha256', value).update(data).digest();
}

function outcomes(): string[] {
  return rpc.requests.slice(1).map(({ outcome }) => outcome);
}

/** What a frame of this one message must be answered with. */
function signed(data: Buffer) {
  return { sign: { signatures: [macOf(data)], version: 1, algorithm: 'HMAC_SHA256' } };
}

/** A number when it no longer changes. */
async function settled(count: () => number): Promise<number> {
  for (let last = -1; ; await pause(200)) {
    if (count() === last) return last;
    last = count();
  }
}

/** How many frames reach the token, once no more do. */
async function settledCalls(): Promise<number> {
  await until(() => rpc.token.calls.sign >= MAX_UNANSWERED_FRAMES);
  return settled(() => rpc.token.calls.sign);
}

/** A connection without a gRPC library. */
function openSession() {
  return connectHttp2('http://sigild', {
    createConnection: () => connectSocket(`${rpc.folder}/sigild.sock`),
  });
}

/**
 * Writes a frame over and over, each when the connection has taken the one before. Without a gRPC
 * library, which would take some itself.
 */
function writeEndlessly(frame: Frame) {
  const session = openSession();
  const bare = session.request({
    ':method': 'POST',
    ':path': PIPELINE,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  bare.on('error', () => undefined).resume();
  const message = v1.PipelineRequest.serialize(frame);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.byteLength, 1);
  const bytes = Buffer.concat([prefix, message]);
  let taken = 0;
  const write = () => {
    bare.write(bytes, (error) => {
      if (error) return;
      taken += 1;
      write();
    });
  };
  write();
  return { taken: () => taken, stop: () => session.destroy() };
}

describe('a frame', () => {
  test('to sign is answered with its signatures in order and the version that made them', async () => {
    await start();
    const data = [randomBytes(20), Buffer.alloc(0), randomBytes(300)];

    const answer = await stream.send(signFrame(...data));

    expect(answer).toEqual({
      correlationId: 1,
      sign: {
        signatures: data.map(macOf),
        version: 1,
        versionId: expect.stringMatching(/^[0-9a-f]{32}$/),
        algorithm: 'HMAC_SHA256',
      },
    });
  });

  test('to verify is answered with a version for each signature, or 0', async () => {
    await start();
    const signatures = [
      ...[macOf(message), Buffer.alloc(32), Buffer.alloc(0)],
      ...[Buffer.alloc(31), Buffer.alloc(33), macOf(message)],
    ];
    const data = signatures.map(() => message);

    const answer = await stream.send({ verify: { key: 'shop', data, signatures } });

    expect(answer).toEqual({ correlationId: 1, verify: { versions: [1, 0, 0, 0, 0, 1] } });
  });

  test('comes back with any correlation id, twice if it was sent twice', async () => {
    await start();
    const answers: PipelineResponse__Output[] = [];
    stream.call.on('data', (answer) => answers.push(answer));

    for (const correlationId of [0xffff_ffff, 0, 0]) {
      stream.call.write({ correlationId, ...signFrame(message) });
    }
    await until(() => answers.length === 3);

    expect(answers.map(({ correlationId }) => correlationId)).toEqual([0xffff_ffff, 0, 0]);
  });

  test('overtakes one that the token is slow for', async () => {
    await start();
    const releaseSlow = rpc.token.hold();
    const slow = stream.send(signFrame(message));
    await until(() => rpc.token.waiting === 1);
    rpc.token.hold()();

    await stream.send(signFrame(Buffer.from('quick')));
    releaseSlow();

    expect(await slow).toMatchObject(signed(message));
    expect(stream.answered).toEqual([2, 1]);
  });

  test('is one call of the token and one record for the log', async () => {
    await start();
    const data = [message, message, message];

    await stream.send(signFrame(...data));
    await stream.send({ verify: { key: 'shop', data, signatures: data } });
    await stream.send({ sign: { key: 'missing', data } });

    expect(rpc.token.calls).toMatchObject({ sign: 2, verify: 0 });
    const record = { method: 'Pipeline', client: 'test', durationMs: expect.any(Number) };
    expect(rpc.requests.slice(1)).toMatchObject([
      { ...record, outcome: 'OK' },
      { ...record, outcome: 'OK' },
      { ...record, outcome: 'KEY_NOT_FOUND' },
    ]);
    expect(new Set(rpc.requests.map(({ requestId }) => requestId)).size).toBe(4);
    expect(JSON.stringify(rpc.requests)).not.toContain('a message');
  });
});

describe('a frame that fails', () => {
  const mac = macOf(message);
  const bytes = (length: number) => Buffer.alloc(length, 1);
  const times = <Item>(count: number, item: Item) => Array.from({ length: count }, () => item);

  test.each<[string, Frame, string]>([
    ['an unknown key', { sign: { key: 'missing', data: [message] } }, 'KEY_NOT_FOUND'],
    ['no key', { sign: { data: [message] } }, 'FIELD_INVALID'],
    ['a malformed key', { verify: { key: 'a/b', data: [message] } }, 'SIGNATURE_MISSING'],
    [
      'an unknown version',
      { sign: { key: 'shop', version: 2, data: [message] } },
      'KEY_VERSION_NOT_FOUND',
    ],
    ['no items', { sign: { key: 'shop' } }, 'DATA_MISSING'],
    ['too many items', signFrame(...times(1_025, message)), 'FIELD_INVALID'],
    ['an item over the limit', signFrame(message, bytes(MAX_DATA_BYTES + 1)), 'DATA_TOO_LARGE'],
    ['too many bytes', signFrame(...times(4, bytes(MAX_DATA_BYTES)), bytes(1)), 'DATA_TOO_LARGE'],
    ['the reserved text', signFrame(message, Buffer.from(FINGERPRINT_TEXT)), 'DATA_RESERVED'],
    ['no signatures', { verify: { key: 'shop', data: [message] } }, 'SIGNATURE_MISSING'],
    [
      'fewer signatures than items',
      { verify: { key: 'shop', data: [message, message], signatures: [mac] } },
      'SIGNATURE_MISSING',
    ],
    [
      'more signatures than items',
      { verify: { key: 'shop', data: [message], signatures: [mac, mac] } },
      'FIELD_INVALID',
    ],
  ])(
    'for %s says what the unary call says, and all others are answered',
    async (_, frame, reason) => {
      await start();

      const [before, failed, after] = await Promise.all([
        stream.send(signFrame(Buffer.from('before'))),
        stream.send(frame),
        stream.send(signFrame(Buffer.from('after'))),
      ]);

      const unary = frame.sign
        ? client.batchSign(frame.sign)
        : client.batchVerify(frame.verify ?? {});
      expect(frameFailure(failed)).toEqual(await failureOf(unary));
      expect(frameFailure(failed).reason).toBe(reason);
      expect(before).toMatchObject(signed(Buffer.from('before')));
      expect(after).toMatchObject(signed(Buffer.from('after')));
    },
  );

  test.each<[string, Frame]>([
    ['none', {}],
    ['both', { sign: { key: 'shop', data: [message] }, verify: { key: 'shop', data: [message] } }],
  ])('for an operation that is %s names it, and the next is answered', async (_, frame) => {
    await start();

    const failed = stream.send(frame);
    const next = stream.send(signFrame(message));

    expect(frameFailure(await failed)).toMatchObject({
      code: status.INVALID_ARGUMENT,
      reason: 'FIELD_INVALID',
      fields: ['operation'],
    });
    expect(await next).toMatchObject(signed(message));
    expect(rpc.token.calls.sign).toBe(2);
  });

  test('for a grant that its client lacks leaves the stream to the others', async () => {
    await start({
      grants: {
        test: [
          { keys: [namePattern('shop')], operations: ['sign'] },
          { keys: [namePattern('seen')], operations: ['getKey'] },
        ],
      },
    });

    const [denied, unseen, allowed] = await Promise.all([
      stream.send({ sign: { key: 'seen', data: [message] } }),
      stream.send({ sign: { key: 'unseen', data: [message] } }),
      stream.send(signFrame(message)),
    ]);

    expect(frameFailure(denied).reason).toBe('PERMISSION_DENIED');
    expect(frameFailure(unseen).reason).toBe('KEY_NOT_FOUND');
    expect(allowed).toMatchObject(signed(message));
  });

  test('for the limit of its client says when to come back', async () => {
    await start({ limits: { maxInFlightPerClient: 2 } });
    const release = rpc.token.hold();
    const admitted = [stream.send(signFrame(message)), stream.send(signFrame(message))];

    const refused = await stream.send(signFrame(message));
    release();

    expect(frameFailure(refused)).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      reason: 'CLIENT_SATURATED',
      retryDelayMs: expect.any(Number),
    });
    for (const answer of [...admitted, stream.send(signFrame(message))]) {
      expect(await answer).toMatchObject(signed(message));
    }
  });

  test('for the time that it took leaves the token, and the next is answered', async () => {
    await start({ defaultDeadlineMs: 500 });
    const release = rpc.token.hold();

    const late = await stream.send(signFrame(message));
    const waiting = rpc.token.waiting;
    release();

    expect(frameFailure(late)).toMatchObject({
      code: status.DEADLINE_EXCEEDED,
      reason: 'DEADLINE_EXCEEDED',
    });
    expect(waiting).toBe(0);
    expect(await stream.send(signFrame(message))).toMatchObject(signed(message));
  });

  test('for a defect tells the log alone what it was', async () => {
    await start();
    const defect = new TypeError('at PIN 1234');
    rpc.token.failNext('sign', defect);

    const failure = frameFailure(await stream.send(signFrame(message)));

    expect(failure).toMatchObject({ code: status.INTERNAL, reason: 'INTERNAL' });
    expect(failure.message).not.toContain('1234');
    expect(rpc.defects).toEqual([defect]);
    expect(await stream.send(signFrame(message))).toMatchObject(signed(message));
  });

  test('for a size that gRPC itself refuses ends the stream, as nobody can tell its number', async () => {
    await start();

    const refused = stream.send(signFrame(bytes(16 * MAX_DATA_BYTES)));

    await expect(refused).rejects.toThrow(STREAM_ENDED);
    expect((await stream.status).code).toBe(status.RESOURCE_EXHAUSTED);
    expect(await client.pipeline().send(signFrame(message))).toMatchObject(signed(message));
  });
});

describe('a stream that its client half-closes', () => {
  test('ends after the last answer', async () => {
    await start();
    const release = rpc.token.hold();
    const answers = Array.from({ length: 100 }, () => stream.send(signFrame(message)));
    stream.call.end();
    await until(() => rpc.token.waiting === MAX_UNANSWERED_FRAMES);
    release();

    expect((await stream.status).code).toBe(status.OK);

    for (const answer of answers) expect(await answer).toMatchObject(signed(message));
  });

  test('without a frame ends at once', async () => {
    await start();

    stream.call.end();

    expect((await stream.status).code).toBe(status.OK);
  });
});

describe('a stream that its client cancels', () => {
  test('takes its frames from the token, and makes room for others', async () => {
    await start({ limits: { maxInFlightPerClient: MAX_UNANSWERED_FRAMES } });
    const release = rpc.token.hold();
    for (let frames = 0; frames < 200; frames++) void stream.send(signFrame(message));
    await until(() => rpc.token.waiting === MAX_UNANSWERED_FRAMES);

    stream.call.cancel();

    await until(() => outcomes().length === MAX_UNANSWERED_FRAMES);
    expect(new Set(outcomes())).toEqual(new Set(['CANCELLED']));
    expect(rpc.token.waiting).toBe(0);
    const next = client.pipeline();
    const answers = Array.from({ length: MAX_UNANSWERED_FRAMES }, () =>
      next.send(signFrame(message)),
    );
    await until(() => rpc.token.waiting === MAX_UNANSWERED_FRAMES);
    release();
    for (const answer of answers) expect(await answer).toMatchObject(signed(message));
    // The frames that the first stream had not been read of have reached nothing.
    expect(rpc.token.calls.sign).toBe(1 + 2 * MAX_UNANSWERED_FRAMES);
  });

  test('is no defect and disturbs no other stream of its connection', async () => {
    await start();
    const other = client.pipeline();
    const release = rpc.token.hold();
    const answer = other.send(signFrame(message));
    for (let frames = 0; frames < 10; frames++) void stream.send(signFrame(message));
    await until(() => rpc.token.waiting === 11);

    stream.call.cancel();
    await until(() => rpc.token.waiting === 1);
    release();

    expect(await answer).toMatchObject(signed(message));
    expect(rpc.defects).toEqual([]);
  });
});

describe('a stream whose deadline passes', () => {
  test('ends with it, and takes its frames from the token', async () => {
    await start();
    const release = rpc.token.hold();
    // A gRPC library would cancel the stream itself, at about the same time.
    const session = openSession();
    const bare = sendRequest(session, PIPELINE, v1.PipelineRequest.serialize(signFrame(message)), {
      'grpc-timeout': '300m',
    });

    expect(await statusOf(bare)).toBe(status.DEADLINE_EXCEEDED);

    await until(() => outcomes().length === 1);
    expect(outcomes()).toEqual(['DEADLINE_EXCEEDED']);
    expect(rpc.token.waiting).toBe(0);
    release();
    session.destroy();
  });
});

describe('the streams of one client', () => {
  /** Opens a stream, as soon as there is room for it. */
  async function openStream(): Promise<TestPipeline> {
    let opened = client.pipeline();
    await until(async () => {
      const answer = await opened.send(signFrame(message)).catch(() => undefined);
      if (!answer) opened = client.pipeline();
      return answer !== undefined;
    });
    return opened;
  }

  test('are limited over all its connections, and those that are open go on', async () => {
    await start({ limits: { maxStreamsPerClient: 2 } });
    const streams = [stream, await openStream()];
    const calls = rpc.token.calls.sign;
    const again = connectBatchClient(`unix:${rpc.folder}/sigild.sock`);

    const refused = again.pipeline();
    const answer = refused.send(signFrame(message));
    const end = await refused.status;

    expect(await failureOf(Promise.reject(end))).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      reason: 'CLIENT_SATURATED',
      retryDelayMs: expect.any(Number),
    });
    await expect(answer).rejects.toThrow(STREAM_ENDED);
    expect(rpc.token.calls.sign).toBe(calls);
    expect(outcomes().at(-1)).toBe('CLIENT_SATURATED');
    for (const open of streams) {
      expect(await open.send(signFrame(message))).toMatchObject(signed(message));
    }
    again.close();
  });

  test('are not those of another client', async () => {
    await start({ limits: { maxStreamsPerClient: 1 }, grants: { other: EVERYTHING } });
    await stream.send(signFrame(message));
    const identity = { kind: 'client', client: 'other' } as const;
    const other = connectBatchClient(await rpc.listen('other.sock', { identity }));

    const answer = await other.pipeline().send(signFrame(message));

    expect(answer).toMatchObject(signed(message));
    other.close();
  });

  test.each<[string, () => Promise<unknown>]>([
    ['is half-closed', async () => (await openStream()).call.end()],
    ['is cancelled', async () => (await openStream()).call.cancel()],
    ['reaches its deadline', () => client.pipeline(300).send(signFrame(message))],
    [
      'sends a message that is too large',
      async () => (await openStream()).call.write(signFrame(Buffer.alloc(16 * MAX_DATA_BYTES))),
    ],
    [
      'loses its connection',
      async () => {
        const writer = writeEndlessly(signFrame(message));
        await until(() => outcomes().length > 10);
        writer.stop();
      },
    ],
  ])('make room when one %s', async (_, openAndEnd) => {
    await start({ limits: { maxStreamsPerClient: 2 } });
    await stream.send(signFrame(message));

    await openAndEnd();
    await openStream();

    expect((await client.pipeline().status).code).toBe(status.RESOURCE_EXHAUSTED);
  });
});

describe('a client that writes faster than the token works', () => {
  test('with ten thousand frames at once has no more than the limit of them at work', async () => {
    await start();
    const messages = Array.from({ length: 10_000 }, (_, index) => Buffer.from(`message ${index}`));
    const release = rpc.token.hold();

    const answers = messages.map((data) => stream.send(signFrame(data)));
    await until(() => rpc.token.waiting === MAX_UNANSWERED_FRAMES);
    release();

    const signatures = (await Promise.all(answers)).map(({ sign }) => sign?.signatures[0]);
    expect(signatures.every((mac, index) => mac?.equals(macOf(messages[index] ?? message)))).toBe(
      true,
    );
    expect(rpc.token.mostWaiting).toBe(MAX_UNANSWERED_FRAMES);
  });

  test('is read no further while the limit of its frames is unanswered', async () => {
    await start();
    const release = rpc.token.hold();

    const writer = writeEndlessly(signFrame(Buffer.alloc(1_000)));
    await until(() => rpc.token.waiting === MAX_UNANSWERED_FRAMES);
    const taken = await settled(writer.taken);

    expect(rpc.token.waiting).toBe(MAX_UNANSWERED_FRAMES);
    expect(taken).toBeLessThan(MAX_UNANSWERED_FRAMES + FRAMES_ON_THE_WAY);
    release();
    await until(() => outcomes().length > 1_000);
    expect(rpc.token.mostWaiting).toBe(MAX_UNANSWERED_FRAMES);
    writer.stop();
  });

  test('with large frames has no more than 16 MiB of them unanswered', async () => {
    await start();
    const data = Buffer.alloc(MAX_DATA_BYTES, 1);
    const release = rpc.token.hold();

    const answers = Array.from({ length: 50 }, () => stream.send(signFrame(data)));
    await until(() => rpc.token.waiting >= MAX_UNANSWERED_BYTES / MAX_DATA_BYTES);
    await settled(() => rpc.token.waiting);

    expect(rpc.token.waiting).toBe(MAX_UNANSWERED_BYTES / MAX_DATA_BYTES);
    release();
    for (const answer of answers) expect(await answer).toMatchObject(signed(data));
    expect(rpc.token.mostWaiting).toBe(MAX_UNANSWERED_BYTES / MAX_DATA_BYTES);
  });
});

describe('a client that does not read', () => {
  test('is not worked for beyond the limit, and has its answers when it reads again', async () => {
    await start();
    const items = Array.from({ length: 512 }, (_, index) => Buffer.from([index % 256]));
    const macs = Buffer.concat(items.map(macOf));
    stream.call.pause();

    const answers = Array.from({ length: 400 }, () => stream.send(signFrame(...items)));
    const worked = await settledCalls();

    expect(worked).toBeLessThan(MAX_UNANSWERED_FRAMES + FRAMES_ON_THE_WAY);
    stream.call.resume();
    for (const answer of answers) {
      const { sign } = await answer;
      expect(Buffer.concat(sign?.signatures ?? []).equals(macs)).toBe(true);
    }
  });

  test('does not slow down another stream', async () => {
    await start();
    const items = Array.from({ length: 1_024 }, () => message);
    stream.call.pause();
    for (let frames = 0; frames < 100; frames++) void stream.send(signFrame(...items));
    await settledCalls();

    const other = connectBatchClient(`unix:${rpc.folder}/sigild.sock`);
    const answer = await other.pipeline().send(signFrame(message));

    expect(answer).toMatchObject(signed(message));
    other.close();
  });
});

describe('a drain', () => {
  test('answers the frames that were read and ends the stream with OK', async () => {
    await start();
    const release = rpc.token.hold();
    const answers = Array.from({ length: 20 }, () => stream.send(signFrame(message)));
    await until(() => rpc.token.waiting === 20);

    const drained = rpc.server.drain(LONG_MS);
    await pause(200);
    release();

    for (const answer of answers) expect(await answer).toMatchObject(signed(message));
    expect((await stream.status).code).toBe(status.OK);
    await drained;
  });

  test('ends a stream that has nothing to answer at once', async () => {
    await start();
    await stream.send(signFrame(message));

    await rpc.server.drain(LONG_MS);

    expect((await stream.status).code).toBe(status.OK);
  });

  test('works on no frame whose answer would not arrive', async () => {
    await start();
    rpc.token.latencyMs = 20;
    const idle = client.pipeline();
    const frames = Array.from({ length: 3_000 }, (_, index) => Buffer.alloc(500, `${index} `));
    const answers = frames.map((data) => stream.send(signFrame(data)));
    await until(() => stream.answered.length > 200);

    await rpc.server.drain(LONG_MS);

    expect((await stream.status).code).toBe(status.OK);
    expect((await idle.status).code).toBe(status.OK);
    const settledAnswers = await Promise.allSettled(answers);
    const arrived = settledAnswers.filter((answer) => answer.status === 'fulfilled');
    expect(arrived.length).toBeLessThan(frames.length);
    expect(outcomes()).toEqual(arrived.map(() => 'OK'));
    for (const number of stream.answered) {
      const data = frames[number - 1] as Buffer;
      expect(await answers[number - 1]).toMatchObject(signed(data));
    }
  });

  test('cuts a stream whose client does not read at its limit', async () => {
    await start();
    const items = Array.from({ length: 1_024 }, () => message);
    stream.call.pause();
    for (let frames = 0; frames < 100; frames++) void stream.send(signFrame(...items));
    await settledCalls();

    await rpc.server.drain(300);

    stream.call.resume();
    expect((await stream.status).code).not.toBe(status.OK);
  });
});
