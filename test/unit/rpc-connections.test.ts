import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { Connections, type ConnectionsOptions } from '../../src/rpc/connections.ts';

const LOOPBACK = '127.0.0.1';

/** Connections whose other ends a test opens. */
async function subject(options: ConnectionsOptions) {
  const connections = new Connections(options);
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    connections.add(socket, { client: 'shop', peer: 'a peer' });
    socket.resume();
  });
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const open = async () => {
    const socket = connect((server.address() as AddressInfo).port, LOOPBACK);
    socket.on('error', () => undefined).resume();
    sockets.push(socket);
    await once(socket, 'connect');
    return socket;
  };
  return { connections, open };
}

test.each([
  ['nothing', 0],
  ['half a preface', 20],
])('a peer that sends %s in time loses its connection', async (_, bytes) => {
  const { connections, open } = await subject({ prefaceLimitMs: 50 });
  const socket = await open();

  socket.write(Buffer.alloc(bytes));

  await once(socket, 'close');
  await expect.poll(() => connections.open, { timeout: 10_000 }).toBe(0);
});

test('a peer that has said what it speaks may be silent', async () => {
  const { connections, open } = await subject({ prefaceLimitMs: 500 });
  const talker = await open();
  talker.write(Buffer.alloc(33));
  const silent = await open();

  await once(silent, 'close');

  await expect.poll(() => connections.open, { timeout: 10_000 }).toBe(1);
  expect(talker.closed).toBe(false);
});

test('a client has a bounded number of connections, and room again when one closes', async () => {
  const { connections, open } = await subject({ maxPerClient: 2 });
  const first = await open();
  await open();
  const refused = await open();

  await once(refused, 'close');
  expect(connections.open).toBe(2);
  first.destroy();

  await expect.poll(() => connections.open, { timeout: 10_000 }).toBe(1);
  await open();
  await expect.poll(() => connections.open, { timeout: 10_000 }).toBe(2);
});
