import { createHmac, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ALGORITHM_NAMES, type Algorithm } from '../../src/domain/algorithm.ts';
import { type ErrorReason, SigildError } from '../../src/domain/errors.ts';
import { IMPORT_KEY_LIFE_MS } from '../../src/domain/key-import.ts';
import { namePattern } from '../../src/domain/name-pattern.ts';
import { AccessPolicy, type Grant, OPERATIONS } from '../../src/service/access-policy.ts';
import { ImportKeyRegister } from '../../src/service/import-key-register.ts';
import { KeyCatalog } from '../../src/service/key-catalog.ts';
import { type ImportKeyItem, KeyImport } from '../../src/service/key-import.ts';
import { KeyLifecycle } from '../../src/service/key-lifecycle.ts';
import { wrapSecret } from '../../src/service/secret-wrapping.ts';
import { Turns } from '../../src/service/turns.ts';
import { FakeToken } from '../support/fake-token.ts';
import { keyOf } from '../support/key-version.ts';
import { signOne } from '../support/one-message.ts';

const { signal } = new AbortController();
const SECRET = randomBytes(32);
const DATA = Buffer.from('data');

const GRANTS: readonly [string, readonly Grant[]][] = [
  ['admin', [{ keys: [namePattern('*')], operations: OPERATIONS }]],
  ['second', [{ keys: [namePattern('*')], operations: OPERATIONS }]],
  ['shop', [{ keys: [namePattern('shop-*')], operations: ['importKey'] }]],
  ['reader', [{ keys: [namePattern('*')], operations: ['getKey'] }]],
];

interface Wanted extends Partial<Omit<ImportKeyItem, 'wrapped'>> {
  readonly client?: string;
  readonly secret?: Uint8Array;
  /** For which algorithm the import key is made. */
  readonly offeredFor?: Algorithm;
}

function startImport(enabled: readonly Algorithm[] = ALGORITHM_NAMES) {
  const clock = { nowMs: Date.UTC(2026, 5, 1) };
  const now = () => clock.nowMs;
  const token = new FakeToken();
  const catalog = new KeyCatalog({ token, lookupTimeoutMs: 1_000, onAmbiguous: () => undefined });
  const shared = {
    ...{ token, catalog, now },
    policy: new AccessPolicy(new Map(GRANTS)),
    enabledAlgorithms: new Set(enabled),
    turns: new Turns(),
    importKeys: new ImportKeyRegister(now),
  };
  const service = new KeyImport({ ...shared, lifecycle: new KeyLifecycle(shared) });
  const offer = async (algorithm: Algorithm = 'HMAC_SHA256', client = 'admin', secret = SECRET) => {
    const { id, publicKey, wrapping } = await service.getImportKey({ client, signal }, algorithm);
    return { importKeyId: id, bytes: wrapSecret(secret, publicKey, wrapping) };
  };
  const send = (wrapped: ImportKeyItem['wrapped'], { client = 'admin', ...wanted }: Wanted = {}) =>
    service.importKey(
      { client, signal },
      {
        key: 'partner',
        algorithm: 'HMAC_SHA256',
        requestId: undefined,
        newVersion: false,
        keepActive: false,
        ...wanted,
        wrapped,
      },
    );
  const bring = async (wanted: Wanted = {}) => {
    const { offeredFor = wanted.algorithm, client } = wanted;
    return send(await offer(offeredFor, client), wanted);
  };
  return { clock, token, catalog, service, offer, send, bring };
}

function expectReason(work: Promise<unknown>, reason: ErrorReason): Promise<void> {
  return expect(work).rejects.toMatchObject({ reason });
}

describe('an import key', () => {
  test('says for how long it serves, and which secrets', async () => {
    const { clock, service } = startImport();

    const offered = await service.getImportKey({ client: 'admin', signal }, 'HMAC_SHA384');

    expect(offered).toMatchObject({
      expireTimeMs: clock.nowMs + IMPORT_KEY_LIFE_MS,
      secrets: { minBytes: 48, maxBytes: 128 },
    });
  });

  test('is made for whoever may import any key', async () => {
    const { token, offer } = startImport();

    await offer('HMAC_SHA256', 'shop');

    await expectReason(offer('HMAC_SHA256', 'reader'), 'PERMISSION_DENIED');
    await expectReason(offer('HMAC_SHA256', 'nobody'), 'PERMISSION_DENIED');
    expect(token.calls.makeImportKey).toBe(1);
  });

  test('is made for no algorithm that is not allowed', async () => {
    const { offer } = startImport(['HMAC_SHA256']);

    await expectReason(offer('HMAC_SHA1'), 'ALGORITHM_DISABLED');
  });

  test('is made for no algorithm whose keys cannot be imported', async () => {
    const { token, offer } = startImport();

    await expectReason(offer('EC_SIGN_ED25519'), 'ALGORITHM_UNSUPPORTED');
    expect(token.calls.makeImportKey).toBe(0);
  });

  test("is made while no other of the same client's is", async () => {
    const { token, offer } = startImport();
    const release = token.hold();

    const three = [offer(), offer(), offer('HMAC_SHA256', 'second')];
    await expect.poll(() => token.waiting).toBe(2);
    release();
    await Promise.all(three);

    expect(token.mostWaiting).toBe(2);
  });
});

describe('an import', () => {
  test('makes version 1, which is remembered', async () => {
    const { clock, token, catalog, bring } = startImport();

    const key = await bring();

    expect(key).toMatchObject({
      name: 'partner',
      versions: [
        { version: 1, state: 'ACTIVE', createTimeMs: clock.nowMs, attributes: { local: false } },
      ],
    });
    expect(catalog.peek('partner')).toBe(key);
    const [version] = key.versions;
    const mac = version && (await signOne(token, version, DATA, signal));
    expect(mac).toEqual(createHmac('sha256', SECRET).update(DATA).digest());
  });

  test('returns the same key for the same request id, whatever it brings', async () => {
    const { token, send, bring } = startImport();
    const key = await bring({ requestId: 'r1' });

    const again = await send({ importKeyId: 'gone', bytes: Buffer.alloc(1) }, { requestId: 'r1' });

    expect(again).toEqual(key);
    expect(token.calls.createKey).toBe(1);
  });

  test.each([
    ['another request id', { requestId: 'r2' }],
    ['no request id', {}],
    ['the same request id of another client', { requestId: 'r1', client: 'second' }],
    ['the same request id for another algorithm', { requestId: 'r1', algorithm: 'HMAC_SHA1' }],
  ] as const)('refuses the name that is taken to %s', async (_, wanted) => {
    const { bring } = startImport();
    await bring({ requestId: 'r1' });

    await expectReason(bring(wanted), 'KEY_ALREADY_EXISTS');
  });

  test('leaves an import key that a taken name did not need', async () => {
    const { offer, send, bring } = startImport();
    await bring();
    const wrapped = await offer();

    await expectReason(send(wrapped), 'KEY_ALREADY_EXISTS');

    expect(await send(wrapped, { key: 'other' })).toMatchObject({ name: 'other' });
  });

  test.each([
    ['of another client', { client: 'second' }, 'IMPORT_KEY_NOT_FOUND'],
    ['for another algorithm', { algorithm: 'HMAC_SHA512' }, 'FIELD_INVALID'],
  ] as const)('takes no import key %s', async (_, wanted, reason) => {
    const { token, offer, send } = startImport();

    await expectReason(send(await offer(), wanted), reason);

    expect(token.calls.createKey).toBe(0);
  });

  test('takes no import key that has expired', async () => {
    const { clock, token, offer, send } = startImport();
    const wrapped = await offer();
    clock.nowMs += IMPORT_KEY_LIFE_MS;

    await expectReason(send(wrapped), 'IMPORT_KEY_NOT_FOUND');

    expect(token.calls.createKey).toBe(0);
  });

  test('tells of an import key that the token has lost', async () => {
    const { token, offer, send } = startImport();
    const wrapped = await offer();
    token.loseImportKeys();

    await expectReason(send(wrapped), 'IMPORT_KEY_NOT_FOUND');
  });

  test.each([
    ['reader', 'partner'],
    ['shop', 'partner'],
    ['nobody', 'partner'],
  ] as const)('is denied to %s', async (client, key) => {
    const { send } = startImport();

    const importing = send({ importKeyId: 'any', bytes: Buffer.alloc(1) }, { client, key });

    await expectReason(importing, 'PERMISSION_DENIED');
  });

  test('is refused for an algorithm that is not allowed', async () => {
    const { offer, send } = startImport(['HMAC_SHA256']);

    await expectReason(send(await offer(), { algorithm: 'HMAC_SHA1' }), 'ALGORITHM_DISABLED');
  });

  test('ends for a caller who leaves, and is done all the same', async () => {
    const { token, catalog, service, offer } = startImport();
    const wrapped = await offer();
    const caller = new AbortController();
    const release = token.hold();
    const item = { key: 'partner', algorithm: 'HMAC_SHA256', wrapped } as const;
    const importing = service.importKey(
      { client: 'admin', signal: caller.signal },
      { ...item, requestId: undefined, newVersion: false, keepActive: false },
    );
    await expect.poll(() => token.waiting).toBe(1);

    caller.abort(new SigildError('CANCELLED', 'gone'));
    await expectReason(importing, 'CANCELLED');
    release();

    await expect.poll(() => catalog.peek('partner')).toBeDefined();
  });
});

describe('an import of a further version', () => {
  const next = { newVersion: true } as const;

  test('signs from then on, and deactivates the one before', async () => {
    const { token, bring } = startImport();
    token.writeKey('partner', randomBytes(32));

    const { versions } = await bring(next);

    expect(versions.map(({ version, state, attributes }) => [version, state, attributes.local]))
      // The first is one of another tool.
      .toEqual([
        [2, 'ACTIVE', false],
        [1, 'DEACTIVATED', false],
      ]);
  });

  test('keeps the one before where that is asked for', async () => {
    const { token, bring } = startImport();
    token.writeKey('partner', randomBytes(32));

    const { versions } = await bring({ ...next, keepActive: true });

    expect(versions.map(({ state }) => state)).toEqual(['ACTIVE', 'ACTIVE']);
  });

  test('is made once for one request id', async () => {
    const { bring, send } = startImport();
    await bring();
    const key = await bring({ ...next, requestId: 'r1' });

    const again = await send(
      { importKeyId: 'gone', bytes: Buffer.alloc(1) },
      { ...next, requestId: 'r1' },
    );

    expect(again).toEqual(key);
  });

  test('says so when another daemon has made that version instead', async () => {
    const { token, bring } = startImport();
    token.writeKey('partner', SECRET);
    const [version] = (await token.findKey('partner', signal))?.versions ?? [];
    if (!version) throw new Error('the key has no version');
    const others = { ...version, version: 2, id: 'f'.repeat(32) };
    token.createVersion = async () => keyOf(others, version);

    await expectReason(bring(next), 'TOKEN_UNAVAILABLE');
  });

  test('needs a key', async () => {
    const { bring } = startImport();

    await expectReason(bring(next), 'KEY_NOT_FOUND');
  });

  test("needs the key's algorithm", async () => {
    const { token, bring } = startImport();
    token.writeKey('partner', randomBytes(32));

    await expectReason(bring({ ...next, algorithm: 'HMAC_SHA512' }), 'FIELD_INVALID');
  });
});
