import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectClient, type ErrorDetails, failureOf, type TestClient } from '../support/client.ts';
import { type Daemon, EVERYTHING, startDaemon } from '../support/daemon.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

const MAX_DATA_BYTES = 1024 * 1024;
const DATA = Buffer.from('data');

let softHsm: SoftHsm;
let daemon: Daemon;
let client: TestClient;
/** May verify, and read, the keys whose names start with `shop-`. */
let reader: TestClient;

beforeAll(async () => {
  softHsm = createSoftHsm();
  daemon = await startDaemon(softHsm, {
    config: {
      listeners: [
        { unix: `${softHsm.directory}/all.sock`, client: 'test' },
        { unix: `${softHsm.directory}/reader.sock`, client: 'reader' },
      ],
      clients: [
        { name: 'test', grants: EVERYTHING },
        { name: 'reader', grants: [{ keys: ['shop-*'], operations: ['getKey', 'verify'] }] },
      ],
    },
  });
  const [all, readers] = daemon.addresses;
  client = connectClient(all as string);
  reader = connectClient(readers as string);
  await client.createKey({ key: 'shop-key', algorithm: 'HMAC_SHA256' });
  await client.createKey({ key: 'other-key', algorithm: 'HMAC_SHA256' });
});

afterAll(async () => {
  client?.close();
  reader?.close();
  await daemon?.stop();
  softHsm?.remove();
});

type Case = [title: string, call: () => Promise<unknown>, expected: Partial<ErrorDetails>];

describe('is refused with its reason', () => {
  const invalid = (reason: ErrorDetails['reason'], ...fields: string[]) => ({
    code: status.INVALID_ARGUMENT,
    reason,
    fields,
  });
  const cases: Case[] = [
    ['data absent', () => client.sign({ key: 'shop-key' }), invalid('DATA_MISSING', 'data')],
    [
      'a misspelt field',
      () => client.sign({ key: 'shop-key', daat: DATA } as never),
      invalid('DATA_MISSING', 'data'),
    ],
    [
      'data one byte over the limit',
      () => client.sign({ key: 'shop-key', data: Buffer.alloc(MAX_DATA_BYTES + 1) }),
      invalid('DATA_TOO_LARGE'),
    ],
    [
      'data to verify absent',
      () => client.verify({ key: 'shop-key', signature: DATA }),
      invalid('DATA_MISSING', 'data'),
    ],
    [
      'the signature absent',
      () => client.verify({ key: 'shop-key', data: DATA }),
      invalid('SIGNATURE_MISSING', 'signature'),
    ],
    [
      'a malformed key name',
      () => client.sign({ key: '../etc', data: DATA }),
      invalid('FIELD_INVALID', 'key'),
    ],
    [
      'an algorithm that does not exist',
      () => client.createKey({ key: 'new', algorithm: 999 as never }),
      invalid('FIELD_INVALID', 'algorithm'),
    ],
    [
      'no algorithm',
      () => client.createKey({ key: 'new', algorithm: 'ALGORITHM_UNSPECIFIED' }),
      invalid('FIELD_INVALID', 'algorithm'),
    ],
    [
      'an algorithm that the configuration does not list',
      () => client.createKey({ key: 'new', algorithm: 'HMAC_SHA1' }),
      { code: status.FAILED_PRECONDITION, reason: 'ALGORITHM_DISABLED' },
    ],
    [
      'a key that is taken',
      () => client.createKey({ key: 'shop-key', algorithm: 'HMAC_SHA256' }),
      { code: status.ALREADY_EXISTS, reason: 'KEY_ALREADY_EXISTS' },
    ],
    [
      'a version that is not there',
      () => client.sign({ key: 'shop-key', version: 2, data: DATA }),
      { code: status.NOT_FOUND, reason: 'KEY_VERSION_NOT_FOUND' },
    ],
    [
      'the text of the fingerprints',
      () =>
        client.sign({
          key: 'shop-key',
          data: Buffer.from('sigild key fingerprint v1: reserved, never signed for a client'),
        }),
      invalid('DATA_RESERVED'),
    ],
    [
      'an operation without a grant, on a key one may see',
      () => reader.sign({ key: 'shop-key', data: DATA }),
      { code: status.PERMISSION_DENIED, reason: 'PERMISSION_DENIED' },
    ],
    [
      'listing without a grant',
      () => reader.listKeys({}),
      { code: status.PERMISSION_DENIED, reason: 'PERMISSION_DENIED' },
    ],
  ];

  test.each(cases)('%s', async (_, call, expected) => {
    expect(await failureOf(call())).toMatchObject(expected);
  });
});

test('a key without a grant answers as a missing one does', async () => {
  const verify = (key: string) => failureOf(reader.verify({ key, data: DATA, signature: DATA }));

  const hidden = await verify('other-key');
  const missing = await verify('shop-missing');

  const anonymous = ({ message, ...rest }: ErrorDetails, key: string) => ({
    ...rest,
    message: message.replace(key, 'NAME'),
  });
  expect(anonymous(hidden, 'other-key')).toEqual(anonymous(missing, 'shop-missing'));
  expect(hidden).toMatchObject({ code: status.NOT_FOUND, reason: 'KEY_NOT_FOUND' });
});

test('zero bytes are a message like any other', async () => {
  const { signature } = await client.sign({ key: 'shop-key', data: Buffer.alloc(0) });

  const verified = await client.verify({
    key: 'shop-key',
    data: Buffer.alloc(0),
    signature: signature as Buffer,
  });

  expect(verified).toMatchObject({ valid: true, version: 1 });
});

test.each([0, 1, 31, 33, 200])(
  'a signature of %i bytes is not valid, and the next request is right',
  async (bytes) => {
    const answers = await Promise.all(
      Array.from({ length: 16 }, () =>
        client.verify({ key: 'shop-key', data: DATA, signature: Buffer.alloc(bytes) }),
      ),
    );

    for (const answer of answers) expect(answer.valid ?? false).toBe(false);
    const { signature } = await client.sign({ key: 'shop-key', data: DATA });
    expect(
      await client.verify({ key: 'shop-key', data: DATA, signature: signature as Buffer }),
    ).toMatchObject({ valid: true });
  },
);

test('data of exactly the limit is signed', async () => {
  const data = Buffer.alloc(MAX_DATA_BYTES, 1);

  const { signature } = await client.sign({ key: 'shop-key', data });

  expect(signature).toHaveLength(32);
});

test('a call that finds the queue full is refused and told when to try again', async () => {
  const small = await startDaemon(softHsm, {
    config: {
      listeners: [{ unix: `${softHsm.directory}/small.sock`, client: 'test' }],
      limits: { maxWaiting: 1 },
    },
  });
  const flood = connectClient(small.addresses[0] as string);

  const outcomes = await Promise.allSettled(
    Array.from({ length: 200 }, () => flood.sign({ key: 'shop-key', data: DATA })),
  );

  flood.close();
  await small.stop();
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThan(200);
  for (const { reason } of refused) {
    expect(await failureOf(Promise.reject(reason))).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      reason: 'POOL_SATURATED',
      retryDelayMs: expect.any(Number),
    });
  }
});
