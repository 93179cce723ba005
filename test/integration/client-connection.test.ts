import { renameSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Client, connect } from '../../src/client/client.ts';
import { type RpcFixture, startRpc } from '../support/rpc-fixture.ts';
import { eventually } from '../support/wait.ts';

const value = Buffer.alloc(32, 7);
const data = Buffer.from('a message');

/** Longer than a test may take: a drain that waits for it has failed. */
const LONG_MS = 60_000;

let rpc: RpcFixture;
let address: string;
let client: Client;

beforeEach(async () => {
  rpc = startRpc();
  rpc.token.writeKey('shop', value);
  address = await rpc.listen();
  client = connect({ address });
});

afterEach(async () => {
  await client.close();
  await rpc.close();
});

test('waits until the daemon is there', async () => {
  const late = `${rpc.folder}/late.sock`;
  const early = connect({ address: `unix:${late}` });
  const ready = early.waitForReady();
  const signed = early.key('shop').sign(data);
  await pause(100);

  await rpc.listen('late.sock');

  await expect(ready).resolves.toBeUndefined();
  await expect(signed).resolves.toMatchObject({ version: 1 });
  await early.close();
});

test('waits no longer than it may', async () => {
  const lonely = connect({ address: `unix:${rpc.folder}/nobody.sock`, deadlineMs: 50 });
  const caller = new AbortController();
  const reason = new Error('enough');
  const aborted = lonely.waitForReady({ deadlineMs: 10_000, signal: caller.signal });

  const outcomes = Promise.allSettled([
    aborted,
    lonely.waitForReady(),
    lonely.key('shop').sign(data),
  ]);
  caller.abort(reason);

  expect(await outcomes).toMatchObject([
    { reason },
    { reason: { reason: 'DEADLINE_EXCEEDED' } },
    {
      reason: {
        reason: 'DEADLINE_EXCEEDED',
        message: expect.stringContaining('cannot be reached'),
      },
    },
  ]);
  await lonely.close();
});

test('close lets every call have its answer, and refuses further ones', async () => {
  const key = client.key('shop');
  await key.sign(data);
  const release = rpc.token.hold();
  const small = key.sign(data);
  const large = key.sign(Buffer.alloc(300 * 1024));

  const closed = client.close();

  await expect(key.sign(data)).rejects.toMatchObject({ reason: 'CANCELLED' });
  await expect(client.keys.get('shop')).rejects.toMatchObject({ reason: 'CANCELLED' });
  await expect(client.waitForReady()).rejects.toMatchObject({ reason: 'CANCELLED' });
  expect(client.close()).toBe(closed);
  release();
  await expect(small).resolves.toMatchObject({ version: 1 });
  await expect(large).resolves.toMatchObject({ version: 1 });
  await closed;
});

test('a client that has never connected closes at once', async () => {
  const idle = connect({ address: `unix:${rpc.folder}/nobody.sock` });

  await expect(idle.close()).resolves.toBeUndefined();
});

test('fails no call when the connection is cut again and again', async () => {
  const key = client.key('shop');
  let isOver = false;
  let answered = 0;
  const workers = Array.from({ length: 50 }, async () => {
    while (!isOver) {
      await key.sign(data);
      answered += 1;
    }
  });

  for (const name of ['first', 'second', 'third']) {
    const successor = startRpc();
    successor.token.writeKey('shop', value);
    const next = await successor.listen(`${name}.sock`);
    renameSync(next.replace('unix:', ''), address.replace('unix:', ''));
    const before = answered;
    const old = rpc;
    rpc = { ...successor, close: () => successor.close().then(() => old.close()) };
    await old.server.drain(0);
    await eventually(() => expect(answered).toBeGreaterThan(before + 100));
  }
  isOver = true;

  await expect(Promise.all(workers)).resolves.toBeDefined();
});

test('fails no call when the daemon drains and a successor has taken over its socket', async () => {
  const successor = startRpc();
  successor.token.writeKey('shop', value);
  const next = await successor.listen();
  const key = client.key('shop');
  let isOver = false;
  let answered = 0;
  const workers = Array.from({ length: 200 }, async () => {
    while (!isOver) {
      await key.sign(data);
      answered += 1;
    }
  });
  await eventually(() => expect(answered).toBeGreaterThan(1_000));

  renameSync(next.replace('unix:', ''), address.replace('unix:', ''));
  await rpc.server.drain(LONG_MS);
  const before = answered;
  await eventually(() => expect(answered).toBeGreaterThan(before + 1_000));
  isOver = true;

  await expect(Promise.all(workers)).resolves.toBeDefined();
  const served = [...rpc.requests, ...successor.requests];
  expect(served.filter(({ outcome }) => outcome !== 'OK')).toEqual([]);
  await client.close();
  await successor.close();
});

test('creates, reads and lists keys', async () => {
  const created = await client.keys.create('web', 'HMAC_SHA512');
  const names: string[] = [];
  for await (const key of client.keys.list()) names.push(key.name);

  expect(created).toMatchObject({
    name: 'web',
    algorithm: 'HMAC_SHA512',
    primaryVersion: 1,
    versions: [{ version: 1, state: 'ACTIVE', createTime: expect.any(Date) }],
  });
  expect(await client.keys.get('web')).toEqual(created);
  expect(names).toEqual(['shop', 'web']);
});

test('creates one key for one request id, and refuses another', async () => {
  const first = await client.keys.create('web', 'HMAC_SHA256', { requestId: 'mine' });
  const again = await client.keys.create('web', 'HMAC_SHA256', { requestId: 'mine' });

  expect(again).toEqual(first);
  await expect(client.keys.create('web', 'HMAC_SHA256')).rejects.toMatchObject({
    reason: 'KEY_ALREADY_EXISTS',
  });
});

test('lists more keys than a page holds', async () => {
  for (let index = 0; index < 150; index += 1) {
    rpc.token.writeKey(`key-${index}`, value);
  }

  let count = 0;
  for await (const _ of client.keys.list()) count += 1;

  expect(count).toBe(151);
});

test('a missing key is an error', async () => {
  await expect(client.keys.get('missing')).rejects.toMatchObject({ reason: 'KEY_NOT_FOUND' });
});
