import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { namePattern } from '../../src/domain/name-pattern.ts';
import { v1 } from '../../src/rpc/proto.ts';
import { sendRequest, statusOf } from '../support/http2-client.ts';
import { type RpcFixture, startRpc } from '../support/rpc-fixture.ts';

const GET_KEY = '/sigild.v1.KeyService/GetKey';
const request = v1.GetKeyRequest.serialize({ key: 'shop' });

let rpc: RpcFixture;
let sessions: ClientHttp2Session[];

beforeEach(async () => {
  sessions = [];
  rpc = startRpc({
    grants: { guest: [{ keys: [namePattern('shop')], operations: ['sign'] }] },
  });
  rpc.token.writeKey('shop', Buffer.alloc(32));
});

afterEach(async () => {
  for (const session of sessions) session.destroy();
  await rpc.close();
});

function listen(name: string, client: string): Promise<string> {
  return rpc.listen(name, { identity: { kind: 'client', client } });
}

async function over(socket: Socket): Promise<ClientHttp2Session> {
  await once(socket, 'connect');
  const session = connectHttp2('http://sigild', { createConnection: () => socket });
  sessions.push(session);
  return session;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

function clients(): (string | undefined)[] {
  return rpc.requests.map(({ client }) => client);
}

test('each listener has its own client, and the same path of another is no way in', async () => {
  const admin = rpc.connect(await listen('admin.sock', 'test'));
  const guest = rpc.connect(await listen('guest.sock', 'guest'));

  await admin.getKey({ key: 'shop' });
  await expect(guest.getKey({ key: 'shop' })).rejects.toMatchObject({
    code: status.PERMISSION_DENIED,
  });

  expect(clients()).toEqual(['test', 'guest']);
});

test.each([
  ['authority', { ':authority': 'test' }],
  ['client header', { client: 'test', 'x-client': 'test' }],
  ['forwarded certificate', { 'x-forwarded-client-cert': 'URI=test' }],
  ['forwarded address', { forwarded: 'for=connection-1', 'x-forwarded-for': 'connection-1' }],
  ['user agent', { 'user-agent': 'connection-1' }],
])('what a guest says of itself is no identity: %s', async (_, headers) => {
  const admin = rpc.connect(await listen('admin.sock', 'test'));
  await admin.getKey({ key: 'shop' });
  const path = (await listen('guest.sock', 'guest')).replace('unix:', '');
  const session = await over(connectTcp(path));

  const code = await statusOf(sendRequest(session, GET_KEY, request, headers));

  expect(code).toBe(status.PERMISSION_DENIED);
  expect(clients()).toEqual(['test', 'guest']);
});

test('two connections from one address and port to two listeners are two clients', async () => {
  const tcp = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
  const guestAddress = await rpc.server.listen({
    address: tcp,
    identity: { kind: 'client', client: 'guest' },
  });
  const adminAddress = await rpc.server.listen({
    address: tcp,
    identity: { kind: 'client', client: 'test' },
  });
  const localPort = await freePort();
  const from = (address: string) =>
    connectTcp({
      ...{ host: '127.0.0.1', port: Number(address.split(':')[1]) },
      ...{ localAddress: '127.0.0.1', localPort },
    });
  const guest = await over(from(guestAddress));
  const admin = await over(from(adminAddress));

  const codes = [
    await statusOf(sendRequest(admin, GET_KEY, request)),
    await statusOf(sendRequest(guest, GET_KEY, request)),
    await statusOf(sendRequest(admin, GET_KEY, request)),
  ];

  expect(codes).toEqual([status.OK, status.PERMISSION_DENIED, status.OK]);
  expect(new Set(rpc.requests.map(({ peer }) => peer)).size).toBe(1);
  expect(clients()).toEqual(['test', 'guest', 'test']);
});

test('a connection that ends takes nothing of its identity to the next one', async () => {
  const adminPath = (await listen('admin.sock', 'test')).replace('unix:', '');
  const guestPath = (await listen('guest.sock', 'guest')).replace('unix:', '');
  const admin = await over(connectTcp(adminPath));
  await statusOf(sendRequest(admin, GET_KEY, request));
  admin.destroy();

  const guest = await over(connectTcp(guestPath));
  const code = await statusOf(sendRequest(guest, GET_KEY, request));

  expect(code).toBe(status.PERMISSION_DENIED);
});
