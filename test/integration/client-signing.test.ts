import { createHmac } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Client, type ConnectOptions, connect, SigildError } from '../../src/client/client.ts';
import { SigildError as DaemonError, fieldInvalid } from '../../src/domain/errors.ts';
import { FINGERPRINT_TEXT } from '../../src/service/reserved-text.ts';
import { MAX_DATA_BYTES, type RpcFixture, startRpc } from '../support/rpc-fixture.ts';
import { eventually } from '../support/wait.ts';

const value = Buffer.alloc(32, 7);

let rpc: RpcFixture;
let address: string;
let client: Client;
const clients: Client[] = [];

beforeEach(async () => {
  rpc = startRpc({ limits: { maxInFlight: 100_000, maxInFlightPerClient: 100_000 } });
  rpc.token.writeKey('shop', value);
  address = await rpc.listen();
  client = open();
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((open) => open.close()));
  await rpc.close();
});

function open(options: Partial<ConnectOptions> = {}): Client {
  const opened = connect({ address, ...options });
  clients.push(opened);
  return opened;
}

function macOf(data: Uint8Array): Buffer {
  return createHmac('sha256', value).update(data).digest();
}

function messages(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => Buffer.from(`message ${index}`));
}

function framesServed(): number {
  return rpc.requests.filter(({ method }) => method === 'Pipeline').length;
}

test('signs, and tells what signed', async () => {
  const data = Buffer.from('a message');

  const signed = await client.key('shop').sign(data);

  expect(Buffer.from(signed.signature)).toEqual(macOf(data));
  expect(signed).toMatchObject({ version: 1, algorithm: 'HMAC_SHA256' });
  expect(signed.versionId).toMatch(/^[0-9a-f]{32}$/);
});

test('verifies', async () => {
  const data = new Uint8Array([1, 2, 3]);

  const verification = await client.key('shop').verify(data, macOf(data), { version: 1 });

  expect(verification).toEqual({ valid: true, version: 1 });
});

test.each([
  ['wrong', Buffer.alloc(32)],
  ['empty', Buffer.alloc(0)],
  ['too long', Buffer.alloc(33)],
])('answers that a signature is not valid that is %s, and says nothing else', async (_, wrong) => {
  const verification = await client.key('shop').verify(Buffer.from('a message'), wrong);

  expect(verification).toEqual({ valid: false });
});

test('signs no bytes', async () => {
  const signed = await client.key('shop').sign(new Uint8Array());

  expect(Buffer.from(signed.signature)).toEqual(macOf(new Uint8Array()));
});

test('sends the calls of one turn in as few frames as hold them, and answers each its own', async () => {
  const key = client.key('shop');
  const batch = messages(300);

  const signed = await Promise.all(batch.map((data) => key.sign(data)));

  expect(signed.map(({ signature }) => Buffer.from(signature))).toEqual(batch.map(macOf));
  expect(framesServed()).toBe(3);
});

test('gathers calls while the daemon has all the frames that it may have', async () => {
  const release = rpc.token.hold();
  const key = client.key('shop');
  const calls: Promise<unknown>[] = [];
  for (const data of messages(100)) {
    calls.push(key.sign(data));
    await new Promise(setImmediate);
  }
  await eventually(() => expect(rpc.token.waiting).toBeGreaterThan(0));

  release();
  await Promise.all(calls);

  expect(framesServed()).toBeLessThanOrEqual(9);
});

test('keeps keys, versions and operations apart', async () => {
  const data = Buffer.from('a message');
  const other = Buffer.alloc(32, 9);
  rpc.token.writeKey('other', other);

  const [shop, second, verification, missing] = await Promise.all([
    client.key('shop').sign(data),
    client.key('other').sign(data),
    client.key('shop').verify(data, macOf(data)),
    client
      .key('shop')
      .sign(data, { version: 2 })
      .catch((error: SigildError) => error.reason),
  ]);

  expect(Buffer.from(shop.signature)).toEqual(macOf(data));
  const expected = createHmac('sha256', other).update(data).digest();
  expect(Buffer.from(second.signature)).toEqual(expected);
  expect(verification).toEqual({ valid: true, version: 1 });
  expect(missing).toBe('KEY_VERSION_NOT_FOUND');
});

test('a frame that fails fails its own calls alone', async () => {
  const [signed, failed] = await Promise.allSettled([
    client.key('shop').sign(Buffer.from('a')),
    client.key('missing').sign(Buffer.from('a')),
  ]);

  expect(signed.status).toBe('fulfilled');
  expect(failed).toMatchObject({ status: 'rejected', reason: { reason: 'KEY_NOT_FOUND' } });
});

test.each([
  ['within a frame', 200 * 1024],
  ['larger than a frame', 500 * 1024],
])('signs and verifies data that is %s', async (_, bytes) => {
  const data = Buffer.alloc(bytes, 1);
  const key = client.key('shop');

  const { signature, version } = await key.sign(data);

  expect(Buffer.from(signature)).toEqual(macOf(data));
  expect(version).toBe(1);
  expect(await key.verify(data, signature, { version: 1 })).toEqual({ valid: true, version: 1 });
  expect(await key.verify(data, Buffer.alloc(32))).toEqual({ valid: false });
});

test.each([
  ['the data is reserved', () => Buffer.from(FINGERPRINT_TEXT), 'DATA_RESERVED'],
  ['the data is too large', () => Buffer.alloc(MAX_DATA_BYTES + 1), 'DATA_TOO_LARGE'],
  ['the data is far too large', () => Buffer.alloc(12 * 1024 * 1024), 'RESOURCE_EXHAUSTED'],
])('fails the one call of many of which %s', async (_, makeBad, reason) => {
  const key = client.key('shop');
  const batch = messages(100);
  const good = batch.map((data) => key.sign(data));
  const bad = key.sign(makeBad());
  const later = batch.map((data) => key.sign(data));

  await expect(bad).rejects.toMatchObject({ name: 'SigildError', reason });

  const signed = await Promise.all([...good, ...later]);
  expect(signed.map(({ signature }) => Buffer.from(signature))).toEqual([
    ...batch.map(macOf),
    ...batch.map(macOf),
  ]);
});

test.each([
  ['a string', 'data'],
  ['nothing', undefined],
  ['null', null],
  ['a number', 7],
  ['an array', [1, 2]],
  ['an ArrayBuffer', new ArrayBuffer(2)],
])('rejects %s in place of bytes', async (_, wrong) => {
  const key = client.key('shop');
  const data = wrong as unknown as Uint8Array;

  await expect(key.sign(data)).rejects.toThrow(TypeError);
  await expect(key.verify(data, Buffer.alloc(32))).rejects.toThrow(TypeError);
  await expect(key.verify(Buffer.alloc(1), data)).rejects.toThrow(TypeError);
  expect(rpc.token.calls.sign + rpc.token.calls.verify).toBe(0);
});

test.each([0, -1, 1.5, Number.NaN, 2 ** 32])('rejects %s as a version', async (version) => {
  const call = client.key('shop').sign(Buffer.alloc(1), { version });

  await expect(call).rejects.toThrow(RangeError);
});

test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])(
  'rejects %s as a deadline',
  async (deadlineMs) => {
    const call = client.key('shop').sign(Buffer.alloc(1), { deadlineMs });

    await expect(call).rejects.toThrow(RangeError);
  },
);

test('gives up at the deadline, of the call or of the client', async () => {
  const release = rpc.token.hold();
  const hasty = open({ deadlineMs: 50 });

  const outcomes = await Promise.allSettled([
    client.key('shop').sign(Buffer.alloc(1), { deadlineMs: 40 }),
    hasty.key('shop').verify(Buffer.alloc(1), Buffer.alloc(32)),
    hasty.key('shop').sign(Buffer.alloc(300 * 1024)),
  ]);

  for (const outcome of outcomes) {
    expect(outcome).toMatchObject({ reason: { reason: 'DEADLINE_EXCEEDED' } });
  }
  release();
});

test('frames whose callers gave up do not keep others waiting', async () => {
  const key = client.key('shop');
  await key.sign(Buffer.from('makes the key known'));
  const release = rpc.token.hold();
  const late: Promise<unknown>[] = [];
  for (const data of messages(8)) {
    late.push(key.sign(data, { deadlineMs: 100 }).catch((error: SigildError) => error.reason));
    await new Promise(setImmediate);
  }
  const patient = key.sign(Buffer.from('patient'));
  await Promise.all(late);
  await eventually(() => expect(rpc.token.waiting).toBe(9));

  release();

  await expect(patient).resolves.toBeDefined();
});

test('an abort ends the wait with the signal’s reason, and nobody else’s', async () => {
  const release = rpc.token.hold();
  const caller = new AbortController();
  const { signal } = caller;
  const key = client.key('shop');
  const small = key.sign(Buffer.from('aborted'), { signal });
  const large = key.sign(Buffer.alloc(300 * 1024), { signal });
  const other = key.sign(Buffer.from('other'));

  const reason = new Error('no longer of interest');
  caller.abort(reason);

  await expect(small).rejects.toBe(reason);
  await expect(large).rejects.toBe(reason);
  await expect(key.sign(Buffer.from('late'), { signal })).rejects.toBe(reason);
  release();
  await expect(other).resolves.toBeDefined();
});

test('repeats what the token could not do for a while', async () => {
  const gone = new DaemonError('TOKEN_UNAVAILABLE', 'the token is gone', { retryAfterMs: 20 });
  rpc.token.failNext('sign', gone, gone);

  const signed = await Promise.all(messages(10).map((data) => client.key('shop').sign(data)));

  expect(signed).toHaveLength(10);
  expect(rpc.token.calls.sign).toBe(3);
});

test('does not wait for a repetition that its deadline does not allow', async () => {
  rpc.token.isAvailable = false;

  const call = client.key('shop').sign(Buffer.alloc(1), { deadlineMs: 800 });

  await expect(call).rejects.toMatchObject({ reason: 'TOKEN_UNAVAILABLE', retryAfterMs: 1_000 });
  expect(framesServed()).toBe(1);
});

test.each([
  ['POOL_SATURATED', new DaemonError('POOL_SATURATED', 'too many calls wait')],
  ['FIELD_INVALID', fieldInvalid('key', 'is wrong')],
  ['INTERNAL', new Error('a defect')],
])('does not repeat what fails with %s', async (reason, error) => {
  rpc.token.failNext('sign', error);

  await expect(client.key('shop').sign(Buffer.alloc(1))).rejects.toMatchObject({ reason });

  expect(rpc.token.calls.sign).toBe(1);
});

test('tells which field was wrong', async () => {
  const failure = await client
    .key('no key')
    .sign(Buffer.alloc(1))
    .catch((error: unknown) => error);

  expect(failure).toBeInstanceOf(SigildError);
  expect(failure).toMatchObject({ reason: 'FIELD_INVALID', violations: [{ field: 'key' }] });
});

test('answers ten thousand calls at once, and refuses those above', async () => {
  const key = client.key('shop');
  const batch = messages(10_000);
  const calls = batch.map((data) => key.sign(data));

  const refused = key.sign(Buffer.alloc(1));

  await expect(refused).rejects.toMatchObject({ reason: 'CLIENT_SATURATED' });
  const signed = await Promise.all(calls);
  expect(signed.map(({ signature }) => Buffer.from(signature))).toEqual(batch.map(macOf));
  await expect(key.sign(Buffer.alloc(1))).resolves.toBeDefined();
});
