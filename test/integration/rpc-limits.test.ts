import { once } from 'node:events';
import { type ClientHttp2Stream, connect as connectHttp2, constants } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { credentials, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { v1 } from '../../src/rpc/proto.ts';
import { failureOf, type TestClient } from '../support/client.ts';
import { sendRequest } from '../support/http2-client.ts';
import {
  EVERYTHING,
  type RpcFixture,
  type RpcFixtureOptions,
  startRpc,
} from '../support/rpc-fixture.ts';
import { eventually } from '../support/wait.ts';

const item = { key: 'shop', data: Buffer.from('a message') };

let rpc: RpcFixture;

afterEach(() => rpc.close());

/** A server whose key `shop` is known, so that a Sign goes straight to the token. */
async function start(options: RpcFixtureOptions = {}): Promise<TestClient> {
  rpc = startRpc({ grants: { other: EVERYTHING }, ...options });
  rpc.token.writeKey('shop', Buffer.alloc(32));
  const client = rpc.connect(await rpc.listen());
  await client.sign(item);
  return client;
}

function outcomes(): string[] {
  return rpc.requests.slice(1).map(({ outcome }) => outcome);
}

/** Starts calls and waits until they wait for the token. */
async function wait(clients: readonly TestClient[]): Promise<Promise<unknown>[]> {
  const calls = clients.map((client) => client.sign(item));
  await eventually(() => expect(rpc.token.waiting).toBe(calls.length));
  return calls;
}

describe('requests in flight', () => {
  test('of one client are limited over all its connections, and others are not touched', async () => {
    const client = await start({ limits: { maxInFlightPerClient: 2 } });
    const again = rpc.connect(`unix:${rpc.folder}/sigild.sock`);
    const other = rpc.connect(
      await rpc.listen('other.sock', { identity: { kind: 'client', client: 'other' } }),
    );
    const release = rpc.token.hold();
    const calls = await wait([client, again]);

    const failure = await failureOf(client.sign(item));
    const ofOther = other.sign(item);
    release();

    expect(failure).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      reason: 'CLIENT_SATURATED',
      retryDelayMs: expect.any(Number),
    });
    await expect(Promise.all([...calls, ofOther])).resolves.toHaveLength(3);
    await expect(client.sign(item)).resolves.toBeDefined();
  });

  test('of all clients are limited', async () => {
    const client = await start({ limits: { maxInFlight: 1 } });
    const other = rpc.connect(
      await rpc.listen('other.sock', { identity: { kind: 'client', client: 'other' } }),
    );
    const release = rpc.token.hold();
    const calls = await wait([client]);

    const failure = await failureOf(other.sign(item));
    release();

    expect(failure).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      reason: 'POOL_SATURATED',
      retryDelayMs: expect.any(Number),
    });
    await Promise.all(calls);
  });

  test('wait for the token in a queue that has an end', async () => {
    const client = await start();
    const release = rpc.token.hold();
    rpc.token.maxWaiting = 1;
    const calls = await wait([client]);

    const failure = await failureOf(client.sign(item));
    release();

    expect(failure).toMatchObject({ code: status.RESOURCE_EXHAUSTED, reason: 'POOL_SATURATED' });
    expect(failure.retryDelayMs).toBeGreaterThan(0);
    await Promise.all(calls);
  });

  test('stay within the limit though a client resets streams as fast as it opens them', async () => {
    const client = await start({ limits: { maxInFlightPerClient: 20 } });
    const release = rpc.token.hold();
    const session = connectHttp2('http://sigild', {
      createConnection: () => connectSocket(`${rpc.folder}/sigild.sock`),
    });
    session.on('error', () => undefined);
    const message = v1.SignRequest.serialize(item);

    for (let round = 0; round < 8; round += 1) {
      const streams = Array.from({ length: 100 }, () =>
        sendRequest(session, '/sigild.v1.SigningService/Sign', message),
      );
      // Odd rounds are reset before the server sees them, even ones afterwards.
      if (round % 2 === 0) await once(streams[99] as ClientHttp2Stream, 'response');
      for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
      await eventually(() => expect(rpc.token.waiting).toBe(0));
    }
    release();

    expect(rpc.token.mostWaiting).toBe(20);
    expect(outcomes()).not.toContain('OK');
    await expect(client.sign(item)).resolves.toBeDefined();
    session.destroy();
  });
});

describe('a caller who goes', () => {
  test('gives up its place at the token', async () => {
    await start();
    const release = rpc.token.hold();
    const signing = new v1.SigningService(
      `unix:${rpc.folder}/sigild.sock`,
      credentials.createInsecure(),
    );
    const call = signing.sign(item, () => undefined);
    await eventually(() => expect(rpc.token.waiting).toBe(1));

    call.cancel();

    await eventually(() => expect(outcomes()).toEqual(['CANCELLED']));
    expect(rpc.token.waiting).toBe(0);
    release();
    signing.close();
  });

  test('before its request is looked at costs no call of the token', async () => {
    await start();
    const callsBefore = rpc.token.calls.sign;
    const session = connectHttp2('http://sigild', {
      createConnection: () => connectSocket(`${rpc.folder}/sigild.sock`),
    });
    await once(session, 'connect');

    const message = v1.SignRequest.serialize(item);
    const stream = sendRequest(session, '/sigild.v1.SigningService/Sign', message);
    stream.close(constants.NGHTTP2_CANCEL);
    session.close();
    await once(session, 'close');

    expect(rpc.token.calls.sign).toBe(callsBefore);
  });
});

describe('the time for a request', () => {
  test("is the client's deadline", async () => {
    await start();
    const release = rpc.token.hold();
    const hasty = rpc.connect(`unix:${rpc.folder}/sigild.sock`, undefined, 50);

    const failure = await failureOf(hasty.sign(item));

    expect(failure.code).toBe(status.DEADLINE_EXCEEDED);
    await eventually(() => expect(rpc.token.waiting).toBe(0));
    expect(outcomes()).toHaveLength(1);
    release();
  });

  test('is the default where the client sets none', async () => {
    await start({ defaultDeadlineMs: 50 });
    const release = rpc.token.hold();
    const patient = rpc.connect(
      `unix:${rpc.folder}/sigild.sock`,
      undefined,
      Number.POSITIVE_INFINITY,
    );

    const failure = await failureOf(patient.sign(item));

    expect(failure).toMatchObject({
      code: status.DEADLINE_EXCEEDED,
      reason: 'DEADLINE_EXCEEDED',
    });
    expect(failure.message).toContain('50 ms');
    expect(rpc.token.waiting).toBe(0);
    release();
  });
});
