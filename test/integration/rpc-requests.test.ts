import { createHmac, randomBytes } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ALGORITHM_NAMES } from '../../src/domain/algorithm.ts';
import { namePattern } from '../../src/domain/name-pattern.ts';
import { v1 } from '../../src/rpc/proto.ts';
import { FINGERPRINT_TEXT } from '../../src/service/reserved-text.ts';
import { failureOf, type TestClient } from '../support/client.ts';
import { MAX_DATA_BYTES, type RpcFixture, startRpc } from '../support/rpc-fixture.ts';

const data = Buffer.from('a message');

let rpc: RpcFixture;
let client: TestClient;
let reader: TestClient;
let keyNumber = 0;
let key: string;

beforeAll(async () => {
  rpc = startRpc({
    grants: { reader: [{ keys: [namePattern('key-*')], operations: ['getKey'] }] },
  });
  client = rpc.connect(await rpc.listen());
  reader = rpc.connect(
    await rpc.listen('reader.sock', { identity: { kind: 'client', client: 'reader' } }),
  );
});

afterAll(() => rpc.close());

beforeEach(async () => {
  keyNumber += 1;
  key = `key-${keyNumber}`;
  await client.createKey({ key, algorithm: 'HMAC_SHA256' });
});

/** A request with fields that the proto does not have, or of other types. */
function malformed(fields: object) {
  return fields as Parameters<TestClient['sign']>[0] & Parameters<TestClient['verify']>[0];
}

describe('data', () => {
  test('is signed with a MAC that others can check', async () => {
    const value = randomBytes(32);
    rpc.token.writeKey('known', value);

    const { signature } = await client.sign({ key: 'known', data });

    expect(signature).toEqual(createHmac('sha256', value).update(data).digest());
  });

  test.each([0, 1, MAX_DATA_BYTES])('of %i bytes is signed and verified', async (bytes) => {
    const message = randomBytes(bytes);

    const { signature = '', version } = await client.sign({ key, data: message });

    expect(signature).toHaveLength(32);
    expect(version).toBe(1);
    const verified = await client.verify({ key, data: message, signature });
    expect(verified).toMatchObject({ valid: true, version: 1 });
  });

  test.each([
    ['absent', {}],
    ['under a misspelt name', { payload: data }],
    ['null', { data: null }],
    ['a number', { data: 5 }],
  ])('%s is an error and never the empty message', async (_, fields) => {
    const failure = await failureOf(client.sign(malformed({ key, ...fields })));

    expect(failure).toMatchObject({
      code: status.INVALID_ARGUMENT,
      reason: 'DATA_MISSING',
      fields: ['data'],
    });
  });

  test.each([1, 1_024 * 1_024])('%i bytes over the limit is DATA_TOO_LARGE', async (excess) => {
    const tooLarge = Buffer.alloc(MAX_DATA_BYTES + excess);

    const failure = await failureOf(client.sign({ key, data: tooLarge }));

    expect(failure).toMatchObject({ code: status.INVALID_ARGUMENT, reason: 'DATA_TOO_LARGE' });
    expect(failure.message).toContain('maxDataBytes');
  });

  test('far over the limit is refused by gRPC itself', async () => {
    const failure = await failureOf(client.sign({ key, data: Buffer.alloc(16 * MAX_DATA_BYTES) }));

    expect(failure.code).toBe(status.RESOURCE_EXHAUSTED);
  });

  test('that fingerprints are made of is refused', async () => {
    const failure = await failureOf(client.sign({ key, data: Buffer.from(FINGERPRINT_TEXT) }));

    expect(failure).toMatchObject({ code: status.INVALID_ARGUMENT, reason: 'DATA_RESERVED' });
  });
});

describe('a MAC', () => {
  test('that is absent is an error', async () => {
    const failure = await failureOf(client.verify({ key, data }));

    expect(failure).toMatchObject({
      code: status.INVALID_ARGUMENT,
      reason: 'SIGNATURE_MISSING',
      fields: ['signature'],
    });
  });

  test.each([0, 1, 31, 32, 33, 64])(
    'of %i wrong bytes is an answer, not an error',
    async (bytes) => {
      const { signature = '' } = await client.sign({ key, data });

      const wrong = await client.verify({ key, data, signature: randomBytes(bytes) });

      expect(wrong).toEqual({ valid: false });
      expect(await client.verify({ key, data, signature })).toMatchObject({ valid: true });
    },
  );
});

describe('a key', () => {
  test('comes back with every field that was made', async () => {
    const { key: created } = await client.createKey({ key: `${key}-b`, algorithm: 'HMAC_SHA512' });

    const { key: read } = await client.getKey({ key: `${key}-b` });

    expect(read).toEqual(created);
    expect(read).toEqual({
      name: `${key}-b`,
      algorithm: 'HMAC_SHA512',
      primaryVersion: 1,
      versions: [
        {
          id: expect.stringMatching(/^[0-9a-f]{32}$/),
          version: 1,
          state: 'ACTIVE',
          algorithm: 'HMAC_SHA512',
          createTime: { seconds: expect.any(Number), nanos: expect.any(Number) },
          attributes: {
            sensitive: true,
            extractable: false,
            alwaysSensitive: true,
            neverExtractable: true,
            local: true,
          },
          origin: 'GENERATED',
        },
      ],
      destroyable: true,
    });
  });

  test('can be read in one version, with the primary version of the whole key', async () => {
    const name = `${key}-versions`;
    rpc.token.writeKey(name, randomBytes(32), 'HMAC_SHA256', 1);
    rpc.token.writeKey(name, randomBytes(32), 'HMAC_SHA256', 2);

    const { key: read } = await client.getKey({ key: name, version: 1 });

    expect(read).toMatchObject({ primaryVersion: 2, versions: [{ version: 1 }] });
  });

  test('is made once for one request_id', async () => {
    const request = { key: `${key}-once`, algorithm: 'HMAC_SHA256', requestId: 'id-1' } as const;

    const first = await client.createKey(request);

    expect(await client.createKey(request)).toEqual(first);
    expect(await failureOf(client.createKey({ ...request, requestId: 'id-2' }))).toMatchObject({
      code: status.ALREADY_EXISTS,
      reason: 'KEY_ALREADY_EXISTS',
    });
  });

  test('is rotated once for one request_id, and told of as it stands', async () => {
    const name = `${key}-rotated`;
    await client.createKey({ key: name, algorithm: 'HMAC_SHA256' });
    const request = { key: name, requestId: 'id-1' };

    const first = await client.rotateKey(request);

    expect(first.key).toMatchObject({
      primaryVersion: 2,
      versions: [
        { version: 2, state: 'ACTIVE' },
        { version: 1, state: 'DEACTIVATED' },
      ],
    });
    expect(await client.rotateKey(request)).toEqual(first);
  });

  test('keeps the version before it active where a rotation asks for it', async () => {
    const name = `${key}-overlap`;
    await client.createKey({ key: name, algorithm: 'HMAC_SHA256' });

    const { key: rotated } = await client.rotateKey({ key: name, keepActive: true });

    expect(rotated?.versions.map(({ state }) => state)).toEqual(['ACTIVE', 'ACTIVE']);
  });

  test('has versions whose state can be changed as the standard allows', async () => {
    const name = `${key}-states`;
    await client.createKey({ key: name, algorithm: 'HMAC_SHA256' });
    const change = (state: 'ACTIVE' | 'DEACTIVATED' | 'SUSPENDED') =>
      client.updateKeyVersion({ key: name, version: 1, state });

    expect((await change('SUSPENDED')).key).toMatchObject({ versions: [{ state: 'SUSPENDED' }] });
    expect(await failureOf(client.sign({ key: name, data }))).toMatchObject({
      code: status.FAILED_PRECONDITION,
      reason: 'KEY_STATE_FORBIDS',
    });
    expect((await change('ACTIVE')).key).toMatchObject({ primaryVersion: 1 });
    expect((await change('DEACTIVATED')).key?.versions[0]?.state).toBe('DEACTIVATED');
    expect(await failureOf(change('ACTIVE'))).toMatchObject({
      code: status.FAILED_PRECONDITION,
      reason: 'KEY_STATE_FORBIDS',
      message: expect.stringContaining('allowed: DESTROY_SCHEDULED'),
    });
  });

  test('has a version destroyed at its time, and restored before', async () => {
    const name = `${key}-destroyed`;
    await client.createKey({ key: name, algorithm: 'HMAC_SHA256' });
    await client.updateKeyVersion({ key: name, version: 1, state: 'SUSPENDED' });
    const beforeMs = Date.now();

    const scheduled = await client.scheduleDestroy({
      ...{ key: name, version: 1 },
      delay: { seconds: 3_600 },
    });
    const { state, destroyTime } = scheduled.key?.versions[0] ?? {};
    const restored = await client.restore({ key: name, version: 1 });
    const destroyed = await client.scheduleDestroy({ key: name, version: 1, delay: {} });

    expect(state).toBe('DESTROY_SCHEDULED');
    const destroyTimeMs = (destroyTime?.seconds ?? 0) * 1_000 + (destroyTime?.nanos ?? 0) / 1e6;
    expect(destroyTimeMs).toBeGreaterThanOrEqual(beforeMs + 3_600_000);
    expect(restored.key?.versions).toMatchObject([{ state: 'SUSPENDED' }]);
    expect(restored.key?.versions[0]).not.toHaveProperty('destroyTime');
    expect(destroyed.key?.versions).toMatchObject([{ state: 'DESTROYED', attributes: {} }]);
    expect((await client.getKey({ key: name })).key).toEqual(destroyed.key);
    for (const call of [
      client.sign({ key: name, version: 1, data }),
      client.verify({ key: name, version: 1, data, signature: data }),
      client.restore({ key: name, version: 1 }),
      client.rotateKey({ key: name }),
    ]) {
      expect(await failureOf(call)).toMatchObject({
        code: status.FAILED_PRECONDITION,
        reason: 'KEY_STATE_FORBIDS',
        message: expect.stringContaining('DESTROYED'),
      });
    }
    expect(
      await failureOf(client.createKey({ key: name, algorithm: 'HMAC_SHA256' })),
    ).toMatchObject({
      code: status.ALREADY_EXISTS,
      message: expect.stringContaining('reuse_name'),
    });
  });

  test('is found page by page', async () => {
    const names = ['a', 'b', 'c'].map((suffix) => `${key}-page-${suffix}`);
    for (const name of names) await client.createKey({ key: name, algorithm: 'HMAC_SHA256' });

    const listed: string[] = [];
    let pageToken = '';
    do {
      const page = await client.listKeys({ pageSize: 2, pageToken });
      listed.push(...page.keys.map(({ name = '' }) => name));
      pageToken = page.nextPageToken ?? '';
    } while (pageToken !== '');

    expect(listed).toEqual([...listed].sort());
    expect(listed.filter((name) => names.includes(name))).toEqual(names);
  });
});

describe('INVALID_ARGUMENT names the field', () => {
  test.each([
    ['of a malformed key name', { key: 'no/name', algorithm: 'HMAC_SHA256' }, 'key'],
    ['of no algorithm', { key: 'new' }, 'algorithm'],
    ['of an unspecified algorithm', { key: 'new', algorithm: 0 }, 'algorithm'],
    ['of an unknown algorithm', { key: 'new', algorithm: 77 }, 'algorithm'],
    [
      'of a malformed request id',
      { key: 'new', algorithm: 'HMAC_SHA256', requestId: 'a\n' },
      'request_id',
    ],
  ])('%s', async (_, request, field) => {
    const bytes = v1.CreateKeyRequest.serialize(request as never);

    const failure = await failureOf(client.createKey(v1.CreateKeyRequest.deserialize(bytes)));

    expect(failure).toMatchObject({
      code: status.INVALID_ARGUMENT,
      reason: 'FIELD_INVALID',
      fields: [field],
    });
  });

  test.each([
    ['of a version that cannot be', { version: 0 }, 'version'],
    ['of a page size that cannot be', { pageSize: -1 }, 'page_size'],
    ['of a page token that nobody gave', { pageToken: 'garbage' }, 'page_token'],
  ])('%s', async (_, fields, field) => {
    const call =
      'version' in fields ? client.getKey({ key, ...fields }) : client.listKeys({ ...fields });

    expect(await failureOf(call)).toMatchObject({ reason: 'FIELD_INVALID', fields: [field] });
  });
});

describe('what a client may not do', () => {
  test('is PERMISSION_DENIED on a key that it may see', async () => {
    await expect(reader.getKey({ key })).resolves.toBeDefined();

    const failure = await failureOf(reader.sign({ key, data }));

    expect(failure).toMatchObject({
      code: status.PERMISSION_DENIED,
      reason: 'PERMISSION_DENIED',
    });
  });

  test('looks like a missing key on one that it may not see', async () => {
    await client.createKey({ key: `hidden-${keyNumber}`, algorithm: 'HMAC_SHA256' });

    const hidden = await failureOf(reader.sign({ key: `hidden-${keyNumber}`, data }));
    const missing = await failureOf(client.sign({ key: `absent-${keyNumber}`, data }));

    expect(hidden).toMatchObject({ code: status.NOT_FOUND, reason: 'KEY_NOT_FOUND' });
    expect({ ...missing, message: missing.message.replace('absent', 'hidden') }).toEqual(hidden);
  });
});

describe('the token', () => {
  test('is shown to a client that is granted it', async () => {
    const { token } = await client.getTokenInfo();

    expect(token).toMatchObject({ label: 'fake', model: 'in memory' });
    expect(token?.algorithms).toHaveLength(ALGORITHM_NAMES.length);
    expect(token?.hosts).toEqual([
      { sessions: 1, warmKeys: false, warmKeysReason: 'it is in memory' },
    ]);
  });

  test('is not shown to one that is not', async () => {
    expect(await failureOf(reader.getTokenInfo())).toMatchObject({
      code: status.PERMISSION_DENIED,
      reason: 'PERMISSION_DENIED',
    });
    expect(rpc.token.calls.info).toBe(1);
  });
});

describe('what the token cannot do now', () => {
  test('is FAILED_PRECONDITION for an algorithm that it lacks', async () => {
    rpc.token.unsupported.add('HMAC_SHA224');

    const failure = await failureOf(
      client.createKey({ key: `${key}-lacking`, algorithm: 'HMAC_SHA224' }),
    );

    expect(failure).toMatchObject({
      code: status.FAILED_PRECONDITION,
      reason: 'ALGORITHM_UNSUPPORTED',
    });
    expect(failure.message).toContain('HMAC_SHA224');
  });

  test('is UNAVAILABLE while it is gone, and works again when it is back', async () => {
    await client.sign({ key, data });

    rpc.token.isAvailable = false;
    const failure = await failureOf(client.sign({ key, data }));
    rpc.token.isAvailable = true;

    expect(failure).toMatchObject({ code: status.UNAVAILABLE, reason: 'TOKEN_UNAVAILABLE' });
    expect(failure.retryDelayMs).toBeGreaterThan(0);
    await expect(client.sign({ key, data })).resolves.toBeDefined();
  });
});

test('a defect is INTERNAL without its message, and the log has it', async () => {
  const defect = new TypeError('at PIN 1234');
  rpc.token.failNext('sign', defect);

  const failure = await failureOf(client.sign({ key, data }));

  expect(failure).toMatchObject({ code: status.INTERNAL, reason: 'INTERNAL' });
  expect(failure.message).not.toContain('1234');
  expect(rpc.defects).toContain(defect);
});

test('a request log line holds neither data nor signature', async () => {
  const secret = Buffer.from('a secret message');
  const { signature = '' } = await client.sign({ key, data: secret });
  await client.verify({ key, data: secret, signature });

  const lines = JSON.stringify(rpc.requests);

  expect(lines).not.toContain('secret');
  expect(lines).not.toContain(Buffer.from(signature).toString('base64'));
  expect(rpc.requests.at(-1)).toMatchObject({ method: 'Verify', client: 'test', outcome: 'OK' });
});
