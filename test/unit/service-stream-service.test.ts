import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ALGORITHM_NAMES, type Algorithm } from '../../src/domain/algorithm.ts';
import { SigildError } from '../../src/domain/errors.ts';
import { AccessPolicy } from '../../src/service/access-policy.ts';
import { KeyCatalog } from '../../src/service/key-catalog.ts';
import { FINGERPRINT_TEXT } from '../../src/service/reserved-text.ts';
import { StreamService } from '../../src/service/stream-service.ts';
import { FakeToken } from '../support/fake-token.ts';

const value = Buffer.alloc(32, 7);
const context = { client: 'backend', signal: new AbortController().signal };
const header = { key: 'webhooks', version: undefined };
const data = Buffer.from('data');

/** A service whose token has the versions 1 to n of a key, each with a value of its own. */
async function start(versions = 1, enabled: readonly Algorithm[] = ALGORITHM_NAMES) {
  const token = new FakeToken();
  for (let version = 1; version <= versions; version++) {
    token.writeKey('webhooks', keyValue(version), 'HMAC_SHA256', version);
  }
  const clock = { nowMs: 0 };
  const catalog = new KeyCatalog({
    token,
    lookupTimeoutMs: 1_000,
    onAmbiguous: () => undefined,
    now: () => clock.nowMs,
  });
  await catalog.refresh();
  const everyKey = () => true;
  const service = new StreamService({
    token,
    catalog,
    policy: new AccessPolicy(
      new Map([
        ['backend', [{ keys: [everyKey], operations: ['sign', 'verify'] }]],
        ['reader', [{ keys: [everyKey], operations: ['getKey'] }]],
      ]),
    ),
    enabledAlgorithms: new Set(enabled),
  });
  return { token, catalog, clock, service };
}

function keyValue(version: number): Buffer {
  return version === 1 ? value : Buffer.alloc(32, 100 + version);
}

function macOf(version: number, ...pieces: readonly Uint8Array[]): Buffer {
  return createHmac('sha256', keyValue(version)).update(Buffer.concat(pieces)).digest();
}

async function* messageOf(...pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

function reasonOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'none',
    (error: unknown) => (error instanceof SigildError ? error.reason : String(error)),
  );
}

test('signs with the primary version, and says which it was', async () => {
  const { service } = await start(2);

  const signed = await service.sign(context, header, messageOf(data, data));

  expect(signed.signatures.map((mac) => Buffer.from(mac))).toEqual([macOf(2, data, data)]);
  expect(signed.version.version).toBe(2);
});

test('signs with the version that is asked for', async () => {
  const { service } = await start(2);

  const signed = await service.sign(context, { ...header, version: 1 }, messageOf(data));

  expect(signed.version.version).toBe(1);
});

test('chooses again where the token does not let the version sign that was chosen', async () => {
  const { service, token, catalog } = await start(2);
  token.setState(catalog.peek('webhooks')?.versions[0]?.id ?? '', 'SUSPENDED');

  const signed = await service.sign(context, header, messageOf(data));

  expect(signed.version.version).toBe(1);
});

test('finds the version whose MAC it is', async () => {
  const { service } = await start(3);

  const verify = (mac: Uint8Array) => service.verify(context, { ...header, mac }, messageOf(data));

  expect((await verify(macOf(1, data)))?.version).toBe(1);
  expect((await verify(macOf(3, data)))?.version).toBe(3);
  expect(await verify(Buffer.alloc(32))).toBeUndefined();
});

test('takes in a version that was made since the key was read', async () => {
  const { service, token, clock } = await start();
  token.writeKey('webhooks', keyValue(2), 'HMAC_SHA256', 2);
  clock.nowMs += 1_000;

  const item = { ...header, mac: macOf(2, data) };

  expect((await service.verify(context, item, messageOf(data)))?.version).toBe(2);
});

test('asks the token for no MAC of a length that no version makes, and reads the data', async () => {
  const { service, token } = await start();
  let isRead = false;
  const pieces = async function* () {
    yield data;
    isRead = true;
  };

  const found = await service.verify(context, { ...header, mac: Buffer.alloc(20) }, pieces());

  expect(found).toBeUndefined();
  expect(isRead).toBe(true);
  expect(token.calls.verifyStream).toBe(0);
});

test('tries no more versions than there are sessions for', async () => {
  const { service, token } = await start(9);
  const item = { ...header, mac: macOf(1, data) };

  expect(await reasonOf(service.verify(context, item, messageOf(data)))).toBe('FIELD_INVALID');
  expect(token.calls.verifyStream).toBe(0);
});

describe('nothing is begun', () => {
  test.each([
    ['without a grant', { ...context, client: 'reader' }, header, 'PERMISSION_DENIED'],
    ['for a client that is not known', { ...context, client: 'other' }, header, 'KEY_NOT_FOUND'],
    ['with a key that is not there', context, { ...header, key: 'other' }, 'KEY_NOT_FOUND'],
    [
      'with a version that is not there',
      context,
      { ...header, version: 7 },
      'KEY_VERSION_NOT_FOUND',
    ],
  ])('%s', async (_, by, item, reason) => {
    const { service, token } = await start();

    expect(await reasonOf(service.sign(by, item, messageOf(data)))).toBe(reason);
    const verifying = service.verify(by, { ...item, mac: macOf(1, data) }, messageOf(data));
    expect(await reasonOf(verifying)).toBe(reason);
    expect(token.openStreams).toBe(0);
  });

  test('with an algorithm that may not sign; it may verify', async () => {
    const { service } = await start(1, ['HMAC_SHA512']);

    expect(await reasonOf(service.sign(context, header, messageOf(data)))).toBe(
      'ALGORITHM_DISABLED',
    );
    const item = { ...header, mac: macOf(1, data) };
    expect((await service.verify(context, item, messageOf(data)))?.version).toBe(1);
  });
});

describe('the session is given back', () => {
  test('when the data are the reserved text, whatever the pieces', async () => {
    const { service, token } = await start();
    const pieces = () => messageOf(FINGERPRINT_TEXT.subarray(0, 7), FINGERPRINT_TEXT.subarray(7));

    expect(await reasonOf(service.sign(context, header, pieces()))).toBe('DATA_RESERVED');
    const item = { ...header, mac: Buffer.alloc(32) };
    expect(await reasonOf(service.verify(context, item, pieces()))).toBe('DATA_RESERVED');
    expect(token.openStreams).toBe(0);
  });

  test('when the data break off', async () => {
    const { service, token } = await start();
    const broken = async function* () {
      yield data;
      throw new SigildError('CANCELLED', 'gone');
    };

    expect(await reasonOf(service.sign(context, header, broken()))).toBe('CANCELLED');
    expect(token.openStreams).toBe(0);
  });

  test('when the token fails', async () => {
    const { service, token } = await start();
    const failing = async function* () {
      yield data;
      token.isAvailable = false;
      yield data;
    };

    expect(await reasonOf(service.sign(context, header, failing()))).toBe('TOKEN_UNAVAILABLE');
    expect(token.openStreams).toBe(0);
  });
});
