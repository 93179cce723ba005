import { status } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import type { ClientOptions, RpcServerOptions } from '../../src/rpc/server.ts';
import { type BatchClient, connectBatchClient, frameFailure } from '../support/batch-client.ts';
import { failureOf, type TestClient } from '../support/client.ts';
import { EVERYTHING, type RpcFixture, startRpc } from '../support/rpc-fixture.ts';
import { connectStreamClient, type StreamClient } from '../support/stream-client.ts';

const KIB = Buffer.alloc(1_024);
const item = { key: 'shop', data: KIB };

let rpc: RpcFixture;
const open: { close(): void }[] = [];

afterEach(async () => {
  for (const client of open.splice(0)) client.close();
  await rpc.close();
});

interface Clients {
  readonly test: TestClient;
  readonly batches: BatchClient;
  readonly streams: StreamClient;
  /** Another client. */
  readonly other: TestClient;
}

/** @param limits of the client `test` alone */
async function start(
  limits: ClientOptions['limits'],
  inAll: RpcServerOptions['limits']['rates'] = {},
): Promise<Clients> {
  rpc = startRpc({
    grants: { other: EVERYTHING },
    limits: { rates: inAll, maxInFlightPerClient: 2 },
    clients: [
      { name: 'test', limits },
      { name: 'other', limits: {} },
    ],
  });
  rpc.token.writeKey('shop', Buffer.alloc(32));
  const address = await rpc.listen();
  const identity = { kind: 'client', client: 'other' } as const;
  const batches = connectBatchClient(address);
  const streams = connectStreamClient(address);
  open.push(batches, streams);
  return {
    ...{ test: rpc.connect(address), batches, streams },
    other: rpc.connect(await rpc.listen('other.sock', { identity })),
  };
}

function rateLimited(setting: string) {
  return {
    code: status.RESOURCE_EXHAUSTED,
    reason: 'RATE_LIMITED',
    message: expect.stringContaining(setting),
    retryDelayMs: expect.any(Number),
  };
}

test('calls beyond a rate are refused before they reach the token, and others are not touched', async () => {
  const { test: client, other } = await start({ callsPerDay: 3 });
  for (const _ of [1, 2, 3]) await client.sign(item);
  const { sign } = rpc.token.calls;

  const failure = await failureOf(client.sign(item));

  expect(failure).toMatchObject(rateLimited('callsPerDay of this client is 3'));
  expect(failure.retryDelayMs).toBeLessThanOrEqual(24 * 60 * 60 * 1_000);
  expect(rpc.token.calls.sign).toBe(sign);
  expect(await other.sign(item)).toMatchObject({ version: 1 });
});

test('a call fits again when RetryInfo says so', async () => {
  const { test: client } = await start({ callsPerSecond: 2, callBurst: 1 });
  await client.sign(item);
  const failure = await failureOf(client.sign(item));

  await new Promise((resolve) => setTimeout(resolve, failure.retryDelayMs));

  expect(await client.sign(item)).toMatchObject({ version: 1 });
});

test('each item of a batch and of a frame counts as a call', async () => {
  const { batches } = await start({ callsPerDay: 5 });
  const stream = batches.pipeline();
  await batches.batchSign({ key: 'shop', data: [KIB, KIB] });
  await stream.send({ sign: { key: 'shop', data: [KIB, KIB] } });

  const refused = await failureOf(batches.batchSign({ key: 'shop', data: [KIB, KIB] }));
  const frame = await stream.send({ sign: { key: 'shop', data: [KIB, KIB] } });
  const last = await stream.send({ sign: { key: 'shop', data: [KIB] } });

  expect(refused).toMatchObject(rateLimited('callsPerDay'));
  expect(frameFailure(frame)).toMatchObject(rateLimited('callsPerDay'));
  expect(last).toMatchObject({ sign: { version: 1 } });
});

test('data are counted in bytes', async () => {
  const { test: client } = await start({ bytesPerSecond: 1_024, byteBurst: 2 * 1_024 });
  await client.sign(item);
  await client.verify({ ...item, signature: Buffer.alloc(32) });

  const failure = await failureOf(client.sign(item));

  expect(failure).toMatchObject(rateLimited('bytesPerSecond of this client is 1024'));
});

test('a message that is streamed is read at the rate of its client, and not refused', async () => {
  const { streams } = await start({ bytesPerSecond: 8 * 1_024, byteBurst: 1_024 });
  const startedAtMs = performance.now();

  await streams.sign({ key: 'shop' }, KIB, KIB, KIB, KIB, KIB);

  expect(performance.now() - startedAtMs).toBeGreaterThan(450);
});

test('a stream that waits for its rate ends with its caller', async () => {
  const { streams } = await start({ bytesPerSecond: 1_024 });
  const stream = streams.signStream();
  stream.send({ header: { key: 'shop' } }, { data: Buffer.alloc(1_024 * 1_024) });
  await expect.poll(() => rpc.token.openStreams, { timeout: 10_000 }).toBe(1);

  stream.cancel();

  await expect.poll(() => rpc.token.openStreams, { timeout: 10_000 }).toBe(0);
  await stream.answer.catch(() => undefined);
});

test('all clients together have a rate too', async () => {
  const { test: client, other } = await start({}, { callsPerDay: 2 });
  await client.sign(item);
  await client.sign(item);

  const failure = await failureOf(other.sign(item));

  expect(failure).toMatchObject(rateLimited('callsPerDay of all clients together is 2'));
});

test('a client may have more in flight than the others', async () => {
  const { test: client, other } = await start({ maxInFlight: 3 });
  await client.sign(item);
  const release = rpc.token.hold();
  const calls = [client, client, client, other, other].map((caller) => caller.sign(item));
  await expect.poll(() => rpc.token.waiting, { timeout: 10_000 }).toBe(5);

  const failures = [await failureOf(client.sign(item)), await failureOf(other.sign(item))];
  release();

  expect(failures.map(({ message }) => message)).toEqual([
    expect.stringContaining('3 requests in flight'),
    expect.stringContaining('2 requests in flight'),
  ]);
  await Promise.all(calls);
});
