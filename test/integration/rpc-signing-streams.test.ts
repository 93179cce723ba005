import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type ClientHttp2Stream, connect as connectHttp2 } from 'node:http2';
import { connect as connectSocket, type Socket } from 'node:net';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { namePattern } from '../../src/domain/name-pattern.ts';
import type { SignStreamRequest } from '../../src/generated/sigild/v1/SignStreamRequest.ts';
import { v1 } from '../../src/rpc/proto.ts';
import { FINGERPRINT_TEXT } from '../../src/service/reserved-text.ts';
import { failureOf } from '../support/client.ts';
import { requestFrames, resetFrame } from '../support/http2-frames.ts';
import {
  EVERYTHING,
  type RpcFixture,
  type RpcFixtureOptions,
  startRpc,
} from '../support/rpc-fixture.ts';
import { connectStreamClient, type StreamClient } from '../support/stream-client.ts';
import { eventually } from '../support/wait.ts';

/** Longer than a test may take. */
const LONG_MS = 60_000;

const value = Buffer.alloc(32, 7);
const header = { key: 'shop' };

let rpc: RpcFixture;
let client: StreamClient;
const clients: StreamClient[] = [];

beforeEach(() => start());

afterEach(stop);

async function start(options: RpcFixtureOptions = {}): Promise<void> {
  rpc = startRpc(options);
  rpc.token.writeKey('shop', value);
  client = connect(await rpc.listen());
}

async function stop(): Promise<void> {
  for (const open of clients.splice(0)) open.close();
  await rpc.close();
}

async function restart(options: RpcFixtureOptions): Promise<void> {
  await stop();
  await start(options);
}

function connect(address: string): StreamClient {
  const connected = connectStreamClient(address);
  clients.push(connected);
  return connected;
}

function macOf(...pieces: readonly Uint8Array[]): Buffer {
  return createHmac('sha256', value).update(Buffer.concat(pieces)).digest();
}

/** A stream that has sent its header and of which the token has a session. */
async function openStream(of: StreamClient = client) {
  const before = rpc.token.openStreams;
  const stream = of.signStream();
  stream.send({ header });
  await eventually(() => expect(rpc.token.openStreams).toBe(before + 1));
  return stream;
}

describe('a stream', () => {
  test.each([
    ['without data', []],
    ['of empty pieces', [0, 0]],
    ['of one piece', [100]],
    ['of pieces of all sizes', [1, 0, 4_194_304, 70_000]],
  ])('%s is signed and verified', async (_, lengths) => {
    const pieces = lengths.map((bytes) => randomBytes(bytes));

    const signed = await client.sign(header, ...pieces);
    const signature = signed.signature ?? Buffer.alloc(0);
    const verified = await client.verify({ ...header, signature }, ...pieces);

    expect(signature.equals(macOf(...pieces))).toBe(true);
    expect(signed).toMatchObject({ version: 1, algorithm: 'HMAC_SHA256' });
    expect(verified).toEqual({ valid: true, version: 1, versionId: signed.versionId });
    expect(rpc.token.openStreams).toBe(0);
    expect(rpc.requests.map(({ method, outcome }) => [method, outcome])).toEqual([
      ['SignStream', 'OK'],
      ['VerifyStream', 'OK'],
    ]);
  });

  test.each([
    ['wrong', Buffer.alloc(32)],
    ['empty', Buffer.alloc(0)],
    ['too long', Buffer.alloc(33)],
  ])('with a signature that is %s is answered, and not with an error', async (_, signature) => {
    const answer = await client.verify({ ...header, signature }, Buffer.from('data'));

    expect(answer.valid ?? false).toBe(false);
    expect(answer.version ?? 0).toBe(0);
  });

  test('finds a version that another daemon has just made', async () => {
    const piece = Buffer.from('data');
    await client.sign(header, piece);
    const newer = Buffer.alloc(32, 8);
    rpc.token.writeKey('shop', newer, 'HMAC_SHA256', 2);
    const signature = createHmac('sha256', newer).update(piece).digest();

    const answer = await client.verify({ ...header, signature }, piece);

    expect(answer).toMatchObject({ valid: true, version: 2 });
  });

  test('tries as many versions as it may, and asks for one where there are more', async () => {
    for (let version = 2; version <= 8; version++) {
      rpc.token.writeKey('shop', randomBytes(32), 'HMAC_SHA256', version);
    }
    const item = { ...header, signature: macOf() };
    expect(await client.verify(item)).toMatchObject({ valid: true, version: 1 });

    rpc.token.writeKey('shop', randomBytes(32), 'HMAC_SHA256', 9);

    expect(await failureOf(client.verify(item))).toMatchObject({
      code: status.INVALID_ARGUMENT,
      ...{ reason: 'FIELD_INVALID', fields: ['version'] },
    });
    expect(await client.verify({ ...item, version: 1 })).toMatchObject({ valid: true, version: 1 });
  });

  test('that is read slowly keeps its client waiting', async () => {
    const stream = await openStream();
    const release = rpc.token.hold();
    let written = 0;
    const endless = function* () {
      for (;;) {
        written += 1;
        yield { data: Buffer.alloc(65_536) };
      }
    };

    const sending = stream.sendAll(endless());
    await eventually(() => expect(rpc.token.waiting).toBe(1));
    const isStuck = async () => {
      const before = written;
      await new Promise((resolve) => setTimeout(resolve, 200));
      return written === before;
    };
    await expect.poll(isStuck, { timeout: 20_000 }).toBe(true);

    stream.cancel();
    release();
    await sending;
    await eventually(() => expect(rpc.token.openStreams).toBe(0));
  });
});

describe('bad input', () => {
  test.each([
    ['no message at all', [], 'FIELD_INVALID', ['header']],
    ['data before the header', [{ data: Buffer.from('data') }], 'FIELD_INVALID', ['header']],
    ['a message without content', [{}], 'FIELD_INVALID', ['header']],
    ['two headers', [{ header }, { header }], 'FIELD_INVALID', ['header']],
    ['a header with nothing after it', [{ header }, {}], 'DATA_MISSING', ['data']],
    ['a header without a key', [{ header: {} }], 'FIELD_INVALID', ['key']],
    ['version 0', [{ header: { ...header, version: 0 } }], 'FIELD_INVALID', ['version']],
    ['an unknown key', [{ header: { key: 'other' } }], 'KEY_NOT_FOUND', []],
    ['an unknown version', [{ header: { ...header, version: 7 } }], 'KEY_VERSION_NOT_FOUND', []],
    [
      'a piece that is too long',
      [{ header }, { data: Buffer.alloc(4_194_305) }],
      'DATA_TOO_LARGE',
      [],
    ],
    [
      'the reserved text in pieces',
      [
        { header },
        { data: FINGERPRINT_TEXT.subarray(0, 9) },
        { data: Buffer.alloc(0) },
        { data: FINGERPRINT_TEXT.subarray(9) },
      ],
      'DATA_RESERVED',
      [],
    ],
  ])('ends the stream: %s', async (_, contents, reason, fields) => {
    const stream = client.signStream(20_000);
    stream.send(...contents);
    stream.end();

    expect(await failureOf(stream.answer)).toMatchObject({ reason, fields });
    expect(rpc.token.openStreams).toBe(0);
    expect(rpc.defects).toEqual([]);
  });

  test('a verification without a signature ends with SIGNATURE_MISSING', async () => {
    const failure = await failureOf(client.verify(header, Buffer.from('data')));

    expect(failure).toMatchObject({
      ...{ code: status.INVALID_ARGUMENT, reason: 'SIGNATURE_MISSING' },
      fields: ['header.signature'],
    });
  });

  test('is answered while the client still sends, who hears of it and stops', async () => {
    const stream = client.signStream();
    const endless = function* () {
      yield { header: { key: 'other' } };
      for (;;) yield { data: Buffer.alloc(1_048_576) };
    };

    await stream.sendAll(endless());

    expect(await failureOf(stream.answer)).toMatchObject({ reason: 'KEY_NOT_FOUND' });
    expect(await client.sign(header)).toMatchObject({ version: 1 });
  });

  test('an algorithm that the token lacks ends with ALGORITHM_UNSUPPORTED', async () => {
    rpc.token.unsupported.add('HMAC_SHA256');

    expect(await failureOf(client.sign(header))).toMatchObject({
      reason: 'ALGORITHM_UNSUPPORTED',
    });
  });

  test('a client without the grant is refused', async () => {
    await restart({
      grants: { reader: [{ keys: [namePattern('*')], operations: ['verify'] }] },
    });
    const identity = { kind: 'client', client: 'reader' } as const;
    const reader = connect(await rpc.listen('reader.sock', { identity }));

    expect(await failureOf(reader.sign(header))).toMatchObject({ reason: 'PERMISSION_DENIED' });
    expect(await reader.verify({ ...header, signature: macOf() })).toMatchObject({ valid: true });
  });
});

describe('the limits', () => {
  test('of one client count over all its connections, and others are not touched', async () => {
    await restart({
      ...{ limits: { maxSigningStreamsPerClient: 2 }, grants: { other: EVERYTHING } },
    });
    const again = connect(`unix:${rpc.folder}/sigild.sock`);
    const identity = { kind: 'client', client: 'other' } as const;
    const other = connect(await rpc.listen('other.sock', { identity }));
    const streams = [await openStream(), await openStream(again)];

    const failure = await failureOf(client.sign(header));
    const ofOther = await other.sign(header);
    streams[0]?.end();
    await streams[0]?.answer;

    expect(failure).toMatchObject({
      ...{ code: status.RESOURCE_EXHAUSTED, reason: 'CLIENT_SATURATED' },
      retryDelayMs: expect.any(Number),
    });
    expect(ofOther).toMatchObject({ version: 1 });
    expect(await client.sign(header)).toMatchObject({ version: 1 });
    streams[1]?.cancel();
  });

  test('of all clients together refuse with POOL_SATURATED', async () => {
    await restart({ limits: { maxSigningStreams: 1 } });
    const stream = await openStream();

    const failure = await failureOf(client.sign(header));
    stream.end();
    await stream.answer;

    expect(failure).toMatchObject({
      ...{ code: status.RESOURCE_EXHAUSTED, reason: 'POOL_SATURATED' },
      retryDelayMs: expect.any(Number),
    });
    expect(await client.sign(header)).toMatchObject({ version: 1 });
  });

  test('of the token refuse with POOL_SATURATED', async () => {
    rpc.token.maxStreams = 1;
    const stream = await openStream();

    expect(await failureOf(client.sign(header))).toMatchObject({ reason: 'POOL_SATURATED' });
    stream.cancel();
  });

  test.each([
    ['sends no header', []],
    ['sends nothing after its header', [{ header }]],
    ['sends nothing after a piece', [{ header }, { data: Buffer.from('data') }]],
  ])('end a stream that %s for too long', async (_, contents) => {
    await restart({ limits: { signingStreamIdleMs: 100 } });
    const stream = client.signStream();
    stream.send(...contents);

    const failure = await failureOf(stream.answer);

    expect(failure).toMatchObject({
      ...{ code: status.DEADLINE_EXCEEDED, reason: 'DEADLINE_EXCEEDED' },
      message: expect.stringContaining('signingStreamIdleMs'),
    });
    expect(rpc.token.openStreams).toBe(0);
  });

  test('do not call a client idle that waits for the token', async () => {
    await restart({ limits: { signingStreamIdleMs: 300 } });
    const stream = await openStream();
    const release = rpc.token.hold();
    stream.send({ data: Buffer.from('data') });
    stream.end();
    await eventually(() => expect(rpc.token.waiting).toBe(1));

    await new Promise((resolve) => setTimeout(resolve, 600));
    release();

    expect(await stream.answer).toMatchObject({ version: 1 });
  });

  test('end a stream that takes too long, though it never pauses', async () => {
    await restart({ limits: { signingStreamLimitMs: 500 } });
    const stream = client.signStream();
    stream.send({ header });
    const writing = setInterval(() => stream.send({ data: Buffer.from('data') }), 20);

    const failure = await failureOf(stream.answer);
    clearInterval(writing);

    expect(failure).toMatchObject({
      reason: 'DEADLINE_EXCEEDED',
      message: expect.stringContaining('signingStreamLimitMs'),
    });
    expect(rpc.token.openStreams).toBe(0);
  });

  test('for requests without a deadline do not count for streams', async () => {
    await restart({ defaultDeadlineMs: 50 });
    const stream = await openStream();

    await new Promise((resolve) => setTimeout(resolve, 200));
    stream.end();

    expect(await stream.answer).toMatchObject({ version: 1 });
  });

  test("of the client's own deadline end a stream", async () => {
    const stream = client.signStream(500);
    stream.send({ header });

    const failure = await failureOf(stream.answer);

    expect(failure.code).toBe(status.DEADLINE_EXCEEDED);
    await eventually(() => expect(rpc.token.openStreams).toBe(0));
  });
});

describe('a client that goes', () => {
  const isOver = (outcomes = ['CANCELLED']) =>
    eventually(() => expect(outcomes).toContain(rpc.requests[0]?.outcome));

  // A client on Node says that its data are whole before it says that it cancels.
  test.each([
    ['before a piece', []],
    ['after a piece', [Buffer.from('data')]],
    ['after many pieces', Array.from({ length: 50 }, () => randomBytes(50_000))],
  ])('by cancelling %s leaves nothing behind', async (_, pieces) => {
    const stream = await openStream();
    stream.send(...pieces.map((data) => ({ data })));

    stream.cancel();

    await isOver(['CANCELLED', 'OK']);
    expect(rpc.token.openStreams).toBe(0);
  });

  test('while the token works leaves nothing behind', async () => {
    const stream = await openStream();
    const release = rpc.token.hold();
    stream.send({ data: Buffer.from('data') });
    await eventually(() => expect(rpc.token.waiting).toBe(1));

    stream.cancel();
    await expect(stream.answer).rejects.toMatchObject({ code: status.CANCELLED });
    release();

    await isOver(['CANCELLED', 'OK']);
    expect(rpc.token.openStreams).toBe(0);
  });

  // As other libraries than Node's do; of pieces so many that not all of them are read at once.
  test.each([1, 2, 20])(
    'by resetting a stream after %i pieces gets no signature',
    async (count) => {
      const release = rpc.token.hold();
      const socket = connectSocket(`${rpc.folder}/sigild.sock`);
      const pieces = Array.from({ length: count }, () => framed({ data: Buffer.alloc(2_000) }));
      const body = Buffer.concat([framed({ header }), ...pieces]);
      socket.write(requestFrames('/sigild.v1.SigningService/SignStream', body));
      await eventually(() => expect(rpc.token.waiting).toBe(1));

      socket.write(resetFrame());
      await new Promise((resolve) => setTimeout(resolve, 50));
      release();

      await isOver();
      expect(rpc.token.openStreams).toBe(0);
      socket.destroy();
    },
  );

  test('with its connection leaves nothing behind, and no signature', async () => {
    const { socket, request } = rawStream();
    request.write(framed({ header }));
    request.write(framed({ data: Buffer.from('data') }));
    await eventually(() => expect(rpc.token.openStreams).toBe(1));

    socket.destroy();

    await isOver();
    expect(rpc.token.openStreams).toBe(0);
  });

  test('on sending after its answer disturbs nobody', async () => {
    const { socket, request } = rawStream();
    request.write(framed({ data: Buffer.from('no header') }));
    await once(request, 'response');
    const piece = framed({ data: Buffer.alloc(1_048_576) });

    for (let sent = 0; sent < 64 && !request.destroyed; sent++) {
      await new Promise((resolve) => request.write(piece, resolve));
    }

    expect(await client.sign(header)).toMatchObject({ version: 1 });
    expect(rpc.defects).toEqual([]);
    socket.destroy();
  });
});

test('a stream is ended by a change of its version’s state', async () => {
  const stream = await openStream();
  const [version] = (await rpc.token.findKey('shop', new AbortController().signal))?.versions ?? [];
  rpc.token.setState(version?.id ?? '', 'SUSPENDED');

  stream.end();

  expect(await failureOf(stream.answer)).toMatchObject({
    ...{ code: status.FAILED_PRECONDITION, reason: 'KEY_STATE_FORBIDS' },
  });
});

/** A SignStream call that knows no rule. */
function rawStream(): { socket: Socket; request: ClientHttp2Stream } {
  const socket = connectSocket(`${rpc.folder}/sigild.sock`);
  const session = connectHttp2('http://localhost', { createConnection: () => socket });
  session.on('error', () => undefined);
  const request = session.request({
    ':method': 'POST',
    ':path': '/sigild.v1.SigningService/SignStream',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  request.on('error', () => undefined);
  return { socket, request };
}

/** A message as gRPC frames it. */
function framed(content: SignStreamRequest): Buffer {
  const message = v1.SigningService.service.SignStream.requestSerialize(content);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([prefix, message]);
}

describe('a drain', () => {
  const socketIsGone = () =>
    eventually(() => expect(existsSync(`${rpc.folder}/sigild.sock`)).toBe(false));

  test('waits for a stream that comes to its end', async () => {
    const stream = await openStream();

    const drained = rpc.server.drain(LONG_MS);
    await socketIsGone();
    const data = Buffer.from('data');
    stream.send({ data });
    stream.end();

    expect((await stream.answer).signature).toEqual(macOf(data));
    await drained;
  });

  test('ends a stream with SHUTTING_DOWN when its time is over', async () => {
    const stream = await openStream();

    const drained = rpc.server.drain(300);

    expect(await failureOf(stream.answer)).toMatchObject({
      ...{ code: status.UNAVAILABLE, reason: 'SHUTTING_DOWN' },
      retryDelayMs: expect.any(Number),
    });
    await drained;
    expect(rpc.token.openStreams).toBe(0);
  });
});
