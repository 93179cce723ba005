import { describe, expect, test } from 'vitest';
import { ALGORITHM_NAMES, type Algorithm } from '../../src/domain/algorithm.ts';
import { type ErrorReason, SigildError } from '../../src/domain/errors.ts';
import { DEFAULT_SETTINGS, type KeySettings } from '../../src/domain/key-record.ts';
import { namePattern } from '../../src/domain/name-pattern.ts';
import { decodeVersionId } from '../../src/domain/version-id.ts';
import { AccessPolicy, type Grant, OPERATIONS } from '../../src/service/access-policy.ts';
import { KeyCatalog } from '../../src/service/key-catalog.ts';
import { KeyService, type Page } from '../../src/service/key-service.ts';
import { Turns } from '../../src/service/turns.ts';
import { FakeToken } from '../support/fake-token.ts';

const { signal } = new AbortController();
const admin = { client: 'admin', signal };
const NOW_MS = Date.UTC(2026, 5, 1);

const GRANTS: readonly [string, readonly Grant[]][] = [
  ['admin', [{ keys: [namePattern('*')], operations: OPERATIONS }]],
  ['second', [{ keys: [namePattern('*')], operations: OPERATIONS }]],
  ['shop', [{ keys: [namePattern('shop-*')], operations: ['getKey', 'listKeys'] }]],
];

const HOUR_MS = 3_600_000;

interface CreateOptions {
  readonly requestId?: string;
  readonly algorithm?: Algorithm;
  readonly settings?: KeySettings;
}

function startService(enabled: readonly Algorithm[] = ALGORITHM_NAMES) {
  const token = new FakeToken();
  const catalog = new KeyCatalog({ token, lookupTimeoutMs: 1_000, onAmbiguous: () => undefined });
  const service = new KeyService({
    token,
    catalog,
    policy: new AccessPolicy(new Map(GRANTS)),
    enabledAlgorithms: new Set(enabled),
    minRotationPeriodMs: HOUR_MS,
    turns: new Turns(),
    now: () => NOW_MS,
  });
  const create = (key: string, options: CreateOptions = {}) =>
    service.createKey(
      { client: 'admin', signal: new AbortController().signal },
      {
        ...{ key, algorithm: options.algorithm ?? 'HMAC_SHA256' },
        ...{ requestId: options.requestId, settings: options.settings ?? DEFAULT_SETTINGS },
      },
    );
  return { token, catalog, service, create };
}

function expectReason(work: Promise<unknown>, reason: ErrorReason): Promise<void> {
  return expect(work).rejects.toMatchObject({ reason });
}

function namesOf(page: Page): string[] {
  return page.keys.map((key) => key.name);
}

test('a name that another daemon has just taken is asked for as a first version', async () => {
  const { token, create } = startService();
  token.writeKey('webhooks', Buffer.alloc(32, 1));
  const versions: (number | undefined)[] = [];
  const createKey = token.createKey.bind(token);
  token.createKey = (wanted, limit) => {
    versions.push(decodeVersionId(wanted.id)?.version);
    return createKey(wanted, limit);
  };

  await expectReason(create('webhooks'), 'KEY_ALREADY_EXISTS');

  expect(versions).toEqual([1]);
});

describe('createKey', () => {
  test('gives the key the settings that it is asked for', async () => {
    const { create, service } = startService();
    const settings = { rotationPeriodMs: HOUR_MS, destroyable: false };

    const key = await create('webhooks', { settings });

    expect(key.settings).toEqual(settings);
    expect((await service.getKey({ client: 'admin', signal }, 'webhooks')).settings).toEqual(
      settings,
    );
  });

  test.each([
    ['shorter than the configuration allows', HOUR_MS - 1],
    ['longer than ten years', 3_650 * 24 * HOUR_MS + 1],
  ])('refuses a rotation period that is %s, and makes nothing', async (_, rotationPeriodMs) => {
    const { create, token } = startService();

    const creation = create('webhooks', { settings: { rotationPeriodMs, destroyable: true } });

    await expect(creation).rejects.toMatchObject({
      reason: 'FIELD_INVALID',
      violations: [{ field: 'rotation_period' }],
    });
    expect(token.calls.createKey).toBe(0);
  });

  test('makes a key without settings on a token that keeps none', async () => {
    const { create, token } = startService();
    token.keepsRecords = false;

    const key = await create('webhooks');

    expect(key.settings).toEqual(DEFAULT_SETTINGS);
  });

  test('makes no key whose settings the token does not keep', async () => {
    const { create, token } = startService();
    token.keepsRecords = false;
    const settings = { rotationPeriodMs: undefined, destroyable: false };

    await expectReason(create('webhooks', { settings }), 'TOKEN_REFUSED');
    expect(await token.findKey('webhooks', signal)).toBeUndefined();
  });

  test('makes version 1, with an id that tells when', async () => {
    const { create, catalog } = startService();

    const key = await create('webhooks', { algorithm: 'HMAC_SHA512' });

    expect(key).toMatchObject({
      name: 'webhooks',
      versions: [{ version: 1, algorithm: 'HMAC_SHA512', state: 'ACTIVE', createTimeMs: NOW_MS }],
    });
    expect(catalog.peek('webhooks')).toBe(key);
  });

  test('makes ids that differ when there is no request id', async () => {
    const { create } = startService();

    const [one, other] = [await create('one'), await create('other')];

    expect(one.versions[0]?.id).not.toBe(other.versions[0]?.id);
  });

  test('returns the same key for the same request id', async () => {
    const { create } = startService();
    const key = await create('webhooks', { requestId: 'r1' });

    expect(await create('webhooks', { requestId: 'r1' })).toEqual(key);
  });

  test.each([
    ['another request id', { requestId: 'r2' }],
    ['no request id', {}],
    ['the same request id for another algorithm', { requestId: 'r1', algorithm: 'HMAC_SHA1' }],
  ] as const)('refuses the name that is taken to %s', async (_, options) => {
    const { create } = startService();
    await create('webhooks', { requestId: 'r1' });

    await expectReason(create('webhooks', options), 'KEY_ALREADY_EXISTS');
  });

  test('takes the request ids of two clients for different ones', async () => {
    const { create, service } = startService();
    await create('webhooks', { requestId: 'r1' });

    const item = {
      key: 'webhooks',
      algorithm: 'HMAC_SHA256',
      requestId: 'r1',
      settings: DEFAULT_SETTINGS,
    } as const;

    await expectReason(service.createKey({ client: 'second', signal }, item), 'KEY_ALREADY_EXISTS');
  });

  test('uses one request id for keys of several names', async () => {
    const { create } = startService();

    const keys = [
      await create('one', { requestId: 'r1' }),
      await create('other', { requestId: 'r1' }),
    ];

    const tags = keys.map((key) => {
      const id = Buffer.from(key.versions[0]?.id ?? '', 'hex');
      return Buffer.from(decodeVersionId(id)?.tag ?? '').toString('hex');
    });
    expect(new Set(tags).size).toBe(2);
  });

  test('makes one key for 50 callers of one name', async () => {
    const { create, token } = startService();
    token.latencyMs = 1;

    const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => create('webhooks')));

    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(
      (await token.listKeys(undefined, signal)).keys.flatMap((key) => key.versions),
    ).toHaveLength(1);
  });

  test('gives the token one creation of a name at a time', async () => {
    const { create, token } = startService();
    const release = token.hold();

    const creations = Promise.allSettled([create('a'), create('a'), create('b')]);
    await new Promise(setImmediate);

    expect(token.waiting).toBe(2);
    release();
    await creations;
  });

  test('goes on with the next caller after one that failed', async () => {
    const { create, token } = startService();
    token.failNext('createKey', new SigildError('TOKEN_FULL', 'full'));

    const outcomes = await Promise.allSettled([create('webhooks'), create('webhooks')]);

    expect(outcomes).toMatchObject([{ reason: { reason: 'TOKEN_FULL' } }, { status: 'fulfilled' }]);
  });

  test('makes nothing for a caller who left while others were before it', async () => {
    const { create, service, token } = startService();
    const release = token.hold();
    const first = create('webhooks');
    const caller = new AbortController();
    const item = {
      key: 'webhooks',
      algorithm: 'HMAC_SHA256',
      requestId: undefined,
      settings: DEFAULT_SETTINGS,
    } as const;
    const second = service.createKey({ client: 'admin', signal: caller.signal }, item);

    caller.abort(new SigildError('CANCELLED', 'gone'));
    await expectReason(second, 'CANCELLED');
    release();
    await first;
    await new Promise(setImmediate);

    expect(token.calls.createKey).toBe(1);
  });

  test.each([
    ['a client without a grant', 'stranger'],
    ['a client that may only read the key', 'shop'],
  ])('is denied to %s', async (_, client) => {
    const { service, token } = startService();
    const item = {
      key: 'shop-1',
      algorithm: 'HMAC_SHA256',
      requestId: undefined,
      settings: DEFAULT_SETTINGS,
    } as const;

    await expectReason(service.createKey({ client, signal }, item), 'PERMISSION_DENIED');
    expect(token.calls.createKey).toBe(0);
  });

  test('refuses an algorithm that is not enabled', async () => {
    const { create } = startService(['HMAC_SHA256']);

    await expectReason(create('webhooks', { algorithm: 'HMAC_SHA1' }), 'ALGORITHM_DISABLED');
  });
});

describe('getKey', () => {
  test('reads the token, whatever is known', async () => {
    const { create, service, token } = startService();
    const key = await create('webhooks');
    token.setState(key.versions[0]?.id ?? '', 'SUSPENDED');

    const read = await service.getKey(admin, 'webhooks');

    expect(read.versions[0]?.state).toBe('SUSPENDED');
  });

  test.each([
    ['a key that is not there', 'admin', 'missing'],
    ['a key that the client may not see', 'shop', 'webhooks'],
  ] as const)('does not find %s', async (_, client, name) => {
    const { create, service } = startService();
    await create('webhooks');

    await expectReason(service.getKey({ client, signal }, name), 'KEY_NOT_FOUND');
  });
});

describe('listKeys', () => {
  async function startWithKeys(...names: readonly string[]) {
    const started = startService();
    for (const name of names) started.token.writeKey(name, Buffer.alloc(32));
    return started;
  }

  test('gives every key once, page by page, in byte order of names', async () => {
    const { service } = await startWithKeys('b', 'B', 'a', 'c', 'a-1');
    const pages: string[][] = [];

    let after: string | undefined;
    do {
      const page = await service.listKeys(admin, 2, after);
      pages.push(namesOf(page));
      after = page.nextAfter;
    } while (after !== undefined);

    expect(pages).toEqual([['B', 'a'], ['a-1', 'b'], ['c']]);
  });

  test('has no page after one that is just full', async () => {
    const { service } = await startWithKeys('a', 'b');

    expect((await service.listKeys(admin, 2, undefined)).nextAfter).toBeUndefined();
  });

  test('goes on where it was when keys come and go between pages', async () => {
    const { service, create } = await startWithKeys('a', 'b', 'c');
    const { nextAfter } = await service.listKeys(admin, 2, undefined);

    await create('aa');
    await create('bb');
    const page = await service.listKeys(admin, 2, nextAfter);

    expect(namesOf(page)).toEqual(['bb', 'c']);
  });

  test('reads the token anew for the first page alone', async () => {
    const { service, token } = await startWithKeys('a', 'b');

    const { nextAfter } = await service.listKeys(admin, 1, undefined);
    await service.listKeys(admin, 1, nextAfter);

    expect(token.calls.listKeys).toBe(1);
  });

  test('shows a client the keys alone that it may list', async () => {
    const { service } = await startWithKeys('shop-2', 'shop-1', 'bank');

    const page = await service.listKeys({ client: 'shop', signal }, 10, undefined);

    expect(namesOf(page)).toEqual(['shop-1', 'shop-2']);
  });

  test('is denied to a client that may list no key', async () => {
    const { service, token } = startService();

    await expectReason(
      service.listKeys({ client: 'stranger', signal }, 10, undefined),
      'PERMISSION_DENIED',
    );
    expect(token.calls.listKeys).toBe(0);
  });

  test('does not read the token for a caller who has gone', async () => {
    const { service, token } = startService();
    const gone = {
      client: 'admin',
      signal: AbortSignal.abort(new SigildError('CANCELLED', 'gone')),
    };

    await expectReason(service.listKeys(gone, 10, undefined), 'CANCELLED');
    expect(token.calls.listKeys).toBe(0);
  });
});

describe('getTokenInfo', () => {
  test('tells what the token tells', async () => {
    const { service, token } = startService();

    expect(await service.getTokenInfo(admin)).toEqual(await token.info(signal));
  });

  test('asks nothing for a client without the grant', async () => {
    const { service, token } = startService();

    await expectReason(service.getTokenInfo({ client: 'shop', signal }), 'PERMISSION_DENIED');

    expect(token.calls.info).toBe(0);
  });
});
