import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TestClient } from '../support/client.ts';
import { FLOODS, frameTypes, OPENING } from '../support/http2-frames.ts';
import { EVERYTHING, type RpcFixture, startRpc } from '../support/rpc-fixture.ts';
import { until } from '../support/wait.ts';

/** The type of the frame that says so. */
const GOAWAY = 7;

const item = { key: 'shop', data: Buffer.from('a message') };

let rpc: RpcFixture;
let other: TestClient;
const sockets: Socket[] = [];

beforeEach(async () => {
  rpc = startRpc({ grants: { other: EVERYTHING }, limits: { maxConnectionsPerClient: 3 } });
  rpc.token.writeKey('shop', Buffer.alloc(32));
  await rpc.listen();
  const identity = { kind: 'client', client: 'other' } as const;
  other = rpc.connect(await rpc.listen('other.sock', { identity }));
  await other.sign(item);
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await rpc.close();
});

/** A connection of the client `test` whose other end reads nothing that the daemon sends. */
async function openSocket(): Promise<Socket> {
  const socket = connect(`${rpc.folder}/sigild.sock`);
  socket.on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

/** Sends as fast as the daemon reads. @returns false when it has closed the connection meanwhile */
function send(socket: Socket, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    socket.write(bytes, (error) => resolve(!error));
    socket.once('close', () => resolve(false));
  });
}

/** Whether the daemon closes it; what it has sent is read only now. */
async function isClosed(socket: Socket): Promise<boolean> {
  socket.resume();
  await until(() => socket.closed);
  return true;
}

test.each([
  ['pings', 400],
  ['settings', 400],
  ['continuations', 1],
] as const)(
  'a flood of %s ends its connection, and nothing of it reaches the token',
  async (flood, rounds) => {
    const socket = await openSocket();
    const { sign } = rpc.token.calls;
    socket.write(OPENING);

    const frames = FLOODS[flood](1_000);
    for (let round = 0; round < rounds && (await send(socket, frames)); round += 1) {
      await other.sign(item);
    }

    expect(await isClosed(socket)).toBe(true);
    expect(rpc.token.calls.sign - sign).toBeLessThanOrEqual(rounds);
    expect(await other.sign(item)).toMatchObject({ version: 1 });
  },
);

test('after a flood of resets the daemon wants no more of the connection', async () => {
  const socket = await openSocket();
  const { sign } = rpc.token.calls;
  const received: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => received.push(chunk));

  void send(socket, Buffer.concat([OPENING, FLOODS.resets(5_000)]));

  expect(await other.sign(item)).toMatchObject({ version: 1 });
  await until(() => frameTypes(Buffer.concat(received)).includes(GOAWAY));
  expect(rpc.token.calls.sign).toBe(sign + 1);
});

test('requests with more metadata than 64 KiB are refused before they are requests', async () => {
  const socket = await openSocket();
  const before = rpc.requests.length;
  socket.resume();

  await send(socket, Buffer.concat([OPENING, FLOODS.metadata(50)]));
  await other.sign(item);

  expect(rpc.requests).toHaveLength(before + 1);
});

test('a connection has a bounded number of requests that never end', async () => {
  const socket = await openSocket();
  const frames = FLOODS.requests(5_000);

  await send(socket, Buffer.concat([OPENING, frames]));

  expect(await other.sign(item)).toMatchObject({ version: 1 });
  expect(await isClosed(socket)).toBe(true);
});

test('a client has a bounded number of connections, and others are not touched', async () => {
  const open = [await openSocket(), await openSocket(), await openSocket()];

  const refused = await openSocket();

  expect(await isClosed(refused)).toBe(true);
  expect(rpc.refusals).toMatchObject([{ reason: 'too many connections of one client' }]);
  expect(await other.sign(item)).toMatchObject({ version: 1 });
  for (const socket of open) socket.destroy();
  await until(async () => {
    const socket = await openSocket();
    const closed = once(socket, 'close').then(() => true);
    return !(await Promise.race([closed, other.sign(item).then(() => false)]));
  });
});
