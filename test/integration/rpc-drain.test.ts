import { once } from 'node:events';
import { existsSync, renameSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { failureOf, type TestClient } from '../support/client.ts';
import { type RpcFixture, startRpc } from '../support/rpc-fixture.ts';
import { eventually } from '../support/wait.ts';

/** Longer than a test may take: a drain that waits for it has failed. */
const LONG_MS = 60_000;

const item = { key: 'shop', data: Buffer.from('a message') };
const value = Buffer.alloc(32);

let rpc: RpcFixture;
let address: string;
let client: TestClient;

beforeEach(async () => {
  rpc = startRpc();
  rpc.token.writeKey('shop', value);
  address = await rpc.listen();
  client = rpc.connect(address);
  await client.sign(item);
});

afterEach(() => rpc.close());

test('answers the requests that the token works on', async () => {
  const release = rpc.token.hold();
  const calls = Array.from({ length: 20 }, () => client.sign(item));
  await eventually(() => expect(rpc.token.waiting).toBe(20));

  const drained = rpc.server.drain(LONG_MS);
  await eventually(() => expect(existsSync(pathOf(address))).toBe(false));
  release();

  await expect(Promise.all(calls)).resolves.toHaveLength(20);
  await drained;
});

test('answers the requests that were sent when it began, though they have yet to arrive', async () => {
  const far = await listenFarAway(pathOf(address));
  const farClient = rpc.connect(far.address);
  await farClient.sign(item);

  const calls = Array.from({ length: 20 }, () => farClient.sign(item));
  await once(far.server, 'sent');
  const drained = rpc.server.drain(LONG_MS);

  await expect(Promise.all(calls)).resolves.toHaveLength(20);
  await drained;
  far.server.close();
});

test('ends at once when nobody is connected', async () => {
  client.close();

  await expect(rpc.server.drain(LONG_MS)).resolves.toBeUndefined();
});

test('accepts no connection any more', async () => {
  await rpc.server.drain(LONG_MS);

  const failure = await failureOf(client.sign(item));

  expect(failure.code).toBe(status.UNAVAILABLE);
});

test('cuts what is still open at its limit', async () => {
  const release = rpc.token.hold();
  const failed = failureOf(client.sign(item));
  await eventually(() => expect(rpc.token.waiting).toBe(1));

  await rpc.server.drain(200);

  expect((await failed).code).toBe(status.UNAVAILABLE);
  await eventually(() => expect(rpc.token.waiting).toBe(0));
  release();
});

test('does not wait for a peer that leaves its side of the connection open', async () => {
  const peer = connect({ path: pathOf(address), allowHalfOpen: true });
  await once(peer, 'connect');
  peer.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0');
  peer.resume();
  peer.on('error', () => undefined);

  await rpc.server.drain(LONG_MS);

  peer.destroy();
});

test('is one drain, however often it is asked for', async () => {
  const first = rpc.server.drain(LONG_MS);

  expect(rpc.server.drain(0)).toBe(first);
  await first;
});

test('under load fails no request when a successor has taken over the socket', async () => {
  const successor = startRpc();
  successor.token.writeKey('shop', value);
  const successorAddress = await successor.listen();
  let isOver = false;
  let answered = 0;
  const workers = Array.from({ length: 20 }, async () => {
    while (!isOver) {
      await client.sign(item);
      answered += 1;
    }
  });
  await eventually(() => expect(answered).toBeGreaterThan(100));

  renameSync(pathOf(successorAddress), pathOf(address));
  await rpc.server.drain(LONG_MS);
  await eventually(() => expect(successor.requests.length).toBeGreaterThan(100));
  isOver = true;

  await Promise.all(workers);
  const served = [...rpc.requests, ...successor.requests];
  expect(served.filter(({ outcome }) => outcome !== 'OK')).toEqual([]);
  // One request was made before the load.
  expect(served).toHaveLength(answered + 1);
  client.close();
  await successor.close();
});

/** A way to a unix socket on which what a client sends takes a while. */
async function listenFarAway(path: string): Promise<{ server: Server; address: string }> {
  const server = createServer((near) => {
    const far = connect(path);
    far.on('error', () => near.destroy()).pipe(near);
    near.on('data', (chunk) => {
      server.emit('sent');
      setTimeout(() => far.write(chunk), 20);
    });
    near.on('close', () => far.destroy()).on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

function pathOf(unixAddress: string): string {
  return unixAddress.replace('unix:', '');
}
