import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Client, connect, type Key, SigildError } from '../../src/client/client.ts';
import { namePattern } from '../../src/domain/name-pattern.ts';
import { wrapSecret } from '../../src/service/secret-wrapping.ts';
import type { FakeToken } from '../support/fake-token.ts';
import { type RpcFixture, startRpc } from '../support/rpc-fixture.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const DATA = Buffer.from('data');
const SECRET = Buffer.alloc(32, 7);

/** Of the token port: all that changes a token, or uses a key on it. */
const TOUCHING = [
  ...(['createKey', 'createVersion', 'setVersionState', 'destroyVersion'] as const),
  ...(['changeRecord', 'removeRecords', 'sign', 'verify'] as const),
];

let rpc: RpcFixture;
let client: Client;
let reader: Client;

/**
 * `webhooks` has a DEACTIVATED, an ACTIVE and a scheduled version, `kept` may not be destroyed, and of
 * `gone` all versions have been.
 */
beforeEach(async () => {
  rpc = startRpc({ grants: { reader: [{ keys: [namePattern('*')], operations: ['getKey'] }] } });
  client = connect({ address: await rpc.listen() });
  const identity = { kind: 'client', client: 'reader' } as const;
  reader = connect({ address: await rpc.listen('reader.sock', { identity }) });
  await client.keys.create('webhooks', 'HMAC_SHA256');
  await client.keys.rotate('webhooks');
  await client.keys.rotate('webhooks');
  await client.keys.scheduleDestroy('webhooks', 2, { delayMs: DAY_MS });
  await client.keys.create('kept', 'HMAC_SHA256', { destroyable: false });
  await client.keys.rotate('kept');
  await client.keys.create('gone', 'HMAC_SHA256');
  await client.keys.updateVersion('gone', 1, 'SUSPENDED');
  await client.keys.scheduleDestroy('gone', 1, { delayMs: 0 });
  rpc.token.unsupported.add('HMAC_SHA3_256');
});

afterEach(async () => {
  await Promise.all([client?.close(), reader?.close()]);
  await rpc?.close();
});

interface Tried {
  readonly dryRun?: true;
}

type Attempt<Result> = (options: Tried) => Promise<Result>;

/** By what is asked for: what becomes of the key. */
const CHANGES: readonly [string, Attempt<Key>][] = [
  ['a new key', (to) => client.keys.create('new', 'HMAC_SHA512', { ...to, destroyable: false })],
  [
    'a new key with a name that was used',
    (to) => client.keys.create('gone', 'HMAC_SHA256', { ...to, reuseName: true }),
  ],
  ['a rotation', (to) => client.keys.rotate('webhooks', to)],
  ['an overlap', (to) => client.keys.rotate('webhooks', { ...to, keepActive: true })],
  [
    'a rotation period',
    (to) => client.keys.update('webhooks', { rotationPeriodMs: 2 * HOUR_MS }, to),
  ],
  ['a suspension', (to) => client.keys.updateVersion('webhooks', 3, 'SUSPENDED', to)],
  ['a scheduled destruction', (to) => client.keys.scheduleDestroy('webhooks', 1, to)],
  [
    'a destruction at once',
    (to) => client.keys.scheduleDestroy('webhooks', 1, { ...to, delayMs: 0 }),
  ],
  ['a restoration', (to) => client.keys.restore('webhooks', 2, to)],
  [
    'an import',
    (to) => client.keys.import('partner', { ...to, algorithm: 'HMAC_SHA256', secret: SECRET }),
  ],
  [
    'the import of a next version',
    (to) =>
      client.keys.import('webhooks', {
        ...{ ...to, algorithm: 'HMAC_SHA256', secret: SECRET, newVersion: true },
      }),
  ],
];

test.each(CHANGES)('%s is told of and not made', async (_, change) => {
  const before = await tokenOf(rpc.token);

  const tried = await change({ dryRun: true });

  expect(await tokenOf(rpc.token)).toEqual(before);
  const made = await change({});
  expect(outline(tried)).toEqual(outline(made));
});

test('a version that would be made has neither id nor attributes', async () => {
  const { versions } = await client.keys.rotate('webhooks', { dryRun: true });

  expect(versions[0]).toMatchObject({ version: 4, id: '', origin: undefined });
  expect(Object.values(versions[0]?.attributes ?? {})).not.toContain(true);
  expect(versions[1]?.id).toMatch(/^[0-9a-f]{32}$/);
});

test('a change that was made with the same request id is told of as it stands', async () => {
  const made = await client.keys.create('new', 'HMAC_SHA256', { requestId: 'one' });

  const tried = await client.keys.create('new', 'HMAC_SHA256', { requestId: 'one', dryRun: true });

  expect(tried).toEqual(made);
});

test('an import key that was tried with serves still', async () => {
  const caller = rpc.connect(await rpc.listen('import.sock'));
  const algorithm = 'HMAC_SHA256';
  const { importKeyId = '', publicKeyDer = SECRET } = await caller.getImportKey({ algorithm });
  const wrappedKey = wrapSecret(SECRET, publicKeyDer, 'RSA_OAEP_SHA256_AES_256_KWP');
  const request = { key: 'partner', algorithm, importKeyId, wrappedKey } as const;

  await caller.importKey({ ...request, dryRun: true });

  const { key } = await caller.importKey(request);
  expect(key?.versions).toHaveLength(1);
});

test('the version that would sign is told, and the signature is empty', async () => {
  const before = await tokenOf(rpc.token);

  const { signature, version, versionId } = await client
    .key('webhooks')
    .sign(DATA, { dryRun: true });

  expect(signature).toHaveLength(0);
  expect(version).toBe(3);
  expect(versionId).toMatch(/^[0-9a-f]{32}$/);
  expect(await tokenOf(rpc.token)).toEqual(before);
});

test('no signature is valid, the right one neither', async () => {
  const webhooks = client.key('webhooks');
  const { signature } = await webhooks.sign(DATA);
  const before = await tokenOf(rpc.token);

  const verification = await webhooks.verify(DATA, signature, { dryRun: true });

  expect(verification).toEqual({ valid: false });
  expect(await tokenOf(rpc.token)).toEqual(before);
});

/** By what is wrong: the reason for which it is refused. */
const REFUSALS: readonly [string, string, Attempt<unknown>][] = [
  [
    'a new name without a grant',
    'PERMISSION_DENIED',
    (to) => reader.keys.create('new', 'HMAC_SHA256', to),
  ],
  ['a change without a grant', 'PERMISSION_DENIED', (to) => reader.keys.rotate('webhooks', to)],
  [
    'a name that is none',
    'FIELD_INVALID',
    (to) => client.keys.create('no spaces', 'HMAC_SHA256', to),
  ],
  [
    'a name that is taken',
    'KEY_ALREADY_EXISTS',
    (to) => client.keys.create('webhooks', 'HMAC_SHA256', to),
  ],
  [
    'a name that was used',
    'KEY_ALREADY_EXISTS',
    (to) => client.keys.create('gone', 'HMAC_SHA256', to),
  ],
  [
    'an algorithm that the token lacks',
    'ALGORITHM_UNSUPPORTED',
    (to) => client.keys.create('new', 'HMAC_SHA3_256', to),
  ],
  [
    'a rotation period that is too short',
    'FIELD_INVALID',
    (to) => client.keys.create('new', 'HMAC_SHA256', { ...to, rotationPeriodMs: 1 }),
  ],
  ['a rotation of no key', 'KEY_NOT_FOUND', (to) => client.keys.rotate('new', to)],
  ['a rotation of what is gone', 'KEY_STATE_FORBIDS', (to) => client.keys.rotate('gone', to)],
  [
    'settings of no key',
    'KEY_NOT_FOUND',
    (to) => client.keys.update('new', { rotationPeriodMs: HOUR_MS }, to),
  ],
  [
    'a period that is too long',
    'FIELD_INVALID',
    (to) => client.keys.update('webhooks', { rotationPeriodMs: 4_000 * DAY_MS }, to),
  ],
  [
    'a version that is not there',
    'KEY_VERSION_NOT_FOUND',
    (to) => client.keys.updateVersion('webhooks', 9, 'SUSPENDED', to),
  ],
  [
    'a state that is not allowed',
    'KEY_STATE_FORBIDS',
    (to) => client.keys.updateVersion('webhooks', 1, 'ACTIVE', to),
  ],
  [
    'the end of a version that signs',
    'KEY_STATE_FORBIDS',
    (to) => client.keys.scheduleDestroy('webhooks', 3, to),
  ],
  [
    'the end of what is kept',
    'KEY_STATE_FORBIDS',
    (to) => client.keys.scheduleDestroy('kept', 1, to),
  ],
  [
    'a delay that is too long',
    'FIELD_INVALID',
    (to) => client.keys.scheduleDestroy('webhooks', 1, { ...to, delayMs: 4_000 * DAY_MS }),
  ],
  [
    'a restoration of what is not scheduled',
    'KEY_STATE_FORBIDS',
    (to) => client.keys.restore('webhooks', 1, to),
  ],
  [
    'an import over a key',
    'KEY_ALREADY_EXISTS',
    (to) => client.keys.import('webhooks', { ...to, algorithm: 'HMAC_SHA256', secret: SECRET }),
  ],
  [
    'an import for another algorithm',
    'FIELD_INVALID',
    (to) =>
      client.keys.import('webhooks', {
        ...to,
        algorithm: 'HMAC_SHA512',
        secret: SECRET,
        newVersion: true,
      }),
  ],
  ['a signature of no key', 'KEY_NOT_FOUND', (to) => client.key('new').sign(DATA, to)],
  [
    'a signature without a grant',
    'PERMISSION_DENIED',
    (to) => reader.key('webhooks').sign(DATA, to),
  ],
  [
    'a signature of a version that signs no more',
    'KEY_STATE_FORBIDS',
    (to) => client.key('webhooks').sign(DATA, { ...to, version: 1 }),
  ],
  [
    'a digest for a MAC',
    'FIELD_INVALID',
    (to) => client.key('webhooks').sign({ digest: SECRET }, to),
  ],
  [
    'a form that MACs do not have',
    'FIELD_INVALID',
    (to) => client.key('webhooks').verify(DATA, SECRET, { ...to, format: 'RAW' }),
  ],
  [
    'a verification that the state forbids',
    'KEY_STATE_FORBIDS',
    (to) => client.key('webhooks').verify(DATA, SECRET, { ...to, version: 2 }),
  ],
];

describe('what is refused', () => {
  test.each(REFUSALS)('%s is refused alike when it is tried: %s', async (_, reason, attempt) => {
    const tried = await failureOf(attempt({ dryRun: true }));

    expect(tried).toEqual(await failureOf(attempt({})));
    expect(tried.reason).toBe(reason);
  });
});

test('an algorithm that the token lost is refused to sign, too', async () => {
  rpc.token.unsupported.add('HMAC_SHA256');

  const tried = await failureOf(client.key('webhooks').sign(DATA, { dryRun: true }));

  expect(tried.reason).toBe('ALGORITHM_UNSUPPORTED');
});

/** What stands on a token, and how often it was touched. */
async function tokenOf(token: FakeToken) {
  const { signal } = new AbortController();
  const { keys } = await token.listKeys(undefined, signal);
  return { keys, calls: TOUCHING.map((method) => token.calls[method]) };
}

/** What a key that would be has in common with the one that was made. */
function outline({ versions, ...key }: Key) {
  const { name, algorithm, primaryVersion, rotationPeriodMs, destroyable } = key;
  return {
    ...{ name, algorithm, primaryVersion, rotationPeriodMs, destroyable },
    versions: versions.map(({ version, state, algorithm: own, destroyTime }) => {
      return { version, state, algorithm: own, ends: destroyTime !== undefined };
    }),
  };
}

async function failureOf(call: Promise<unknown>) {
  const failure = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(failure instanceof SigildError)) throw new Error('it was not refused', { cause: failure });
  return { reason: failure.reason, message: failure.message };
}
