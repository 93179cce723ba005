import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ALGORITHM_NAMES, type Algorithm } from '../../src/domain/algorithm.ts';
import { type ErrorReason, SigildError } from '../../src/domain/errors.ts';
import { AccessPolicy } from '../../src/service/access-policy.ts';
import type { RequestContext } from '../../src/service/caller.ts';
import { KeyCatalog } from '../../src/service/key-catalog.ts';
import { FINGERPRINT_TEXT } from '../../src/service/reserved-text.ts';
import { SigningService } from '../../src/service/signing-service.ts';
import type { SignedData } from '../../src/service/token-values.ts';
import { FakeToken } from '../support/fake-token.ts';

const MAX_DATA_BYTES = 100;
const data = Buffer.from('data');
const value = Buffer.alloc(32, 7);
const context = { client: 'backend', signal: new AbortController().signal };

function startService(enabled: readonly Algorithm[] = ALGORITHM_NAMES) {
  const token = new FakeToken();
  const clock = { nowMs: 0 };
  const catalog = new KeyCatalog({
    token,
    lookupTimeoutMs: 1_000,
    onAmbiguous: () => undefined,
    now: () => clock.nowMs,
  });
  const policyQuestions: string[] = [];
  const everyKey = (name: string) => {
    policyQuestions.push(name);
    return true;
  };
  const verifiedBatches: (readonly SignedData[])[] = [];
  const service = new SigningService({
    token: {
      sign: (...call) => token.sign(...call),
      verify: (versions, batch, ...rest) => {
        verifiedBatches.push(batch);
        return token.verify(versions, batch, ...rest);
      },
      signAgreed: (...call) => token.signAgreed(...call),
      verifyAgreed: (...call) => token.verifyAgreed(...call),
      publicKeys: (...call) => token.publicKeys(...call),
    },
    catalog,
    policy: new AccessPolicy(
      new Map([
        ['backend', [{ keys: [everyKey], operations: ['sign', 'verify'] }]],
        ['reader', [{ keys: [everyKey], operations: ['getKey'] }]],
      ]),
    ),
    enabledAlgorithms: new Set(enabled),
    maxDataBytes: MAX_DATA_BYTES,
  });
  return { token, catalog, service, clock, policyQuestions, verifiedBatches };
}

interface Asked {
  readonly key?: string;
  readonly version?: number | undefined;
  readonly data?: Uint8Array;
  readonly by?: RequestContext;
}

/** Signs a batch of one message. */
async function signOne(service: SigningService, asked: Asked = {}) {
  const { key = 'webhooks', version, by = context } = asked;
  const signed = await service.sign(by, { key, version, batch: [asked.data ?? data] });
  const [signature = Buffer.alloc(0)] = signed.signatures;
  return { signature, version: signed.version };
}

/** Verifies a batch of one message. */
async function verifyOne(service: SigningService, asked: Asked & { signature: Uint8Array }) {
  const { key = 'webhooks', version, by = context, signature: mac } = asked;
  const batch = [{ data: asked.data ?? data, mac }];
  const [verified] = await service.verify(by, { key, version, batch });
  return verified;
}

/** A service that knows the key `webhooks`, which has these versions. */
async function startWithKey(...versions: readonly number[]) {
  const started = startService();
  for (const version of versions) started.token.writeKey('webhooks', value, 'HMAC_SHA256', version);
  await started.catalog.refresh();
  const key = started.catalog.peek('webhooks');
  const idOf = (version: number) =>
    key?.versions.find((candidate) => candidate.version === version)?.id ?? '';
  const sign = (version?: number) => signOne(started.service, { version });
  const verify = (signature: Uint8Array, version?: number) =>
    verifyOne(started.service, { version, signature });
  return { ...started, idOf, sign, verify };
}

function expectReason(work: Promise<unknown>, reason: ErrorReason): Promise<void> {
  return expect(work).rejects.toMatchObject({ reason });
}

describe('sign', () => {
  test('makes the MAC with the primary version and says which one it was', async () => {
    const { sign } = await startWithKey(1, 2);

    const { signature, version } = await sign();

    expect(signature).toEqual(createHmac('sha256', value).update(data).digest());
    expect(version).toMatchObject({ key: 'webhooks', version: 2, algorithm: 'HMAC_SHA256' });
  });

  test('uses the version that is asked for', async () => {
    const { sign } = await startWithKey(1, 2);

    expect((await sign(1)).version.version).toBe(1);
  });

  test('costs one token call and no search when the key is known', async () => {
    const { token, sign } = await startWithKey(1);

    await sign();

    expect(token.calls).toMatchObject({ sign: 1, findKey: 0 });
  });

  test('signs the empty message', async () => {
    const { service, token } = startService();
    token.writeKey('webhooks', value);

    const { signature } = await signOne(service, { data: Buffer.alloc(0) });

    expect(signature).toEqual(createHmac('sha256', value).digest());
  });

  test('does not use an algorithm that is not enabled', async () => {
    const { service, token } = startService(['HMAC_SHA256']);
    token.writeKey('old', value, 'HMAC_SHA1');

    await expectReason(signOne(service, { key: 'old' }), 'ALGORITHM_DISABLED');
    expect(token.calls.sign).toBe(0);
  });

  test('fails with the reason of the token', async () => {
    const { token, sign } = await startWithKey(1);
    token.failNext('sign', new SigildError('TOKEN_UNAVAILABLE', 'away'));

    await expectReason(sign(), 'TOKEN_UNAVAILABLE');
    expect(token.calls).toMatchObject({ sign: 1, findKey: 0 });
  });
});

describe('verify', () => {
  test('tells which version made the signature', async () => {
    const { sign, verify, token, catalog } = await startWithKey(1);
    const { signature } = await sign();
    token.writeKey('webhooks', Buffer.alloc(32, 8), 'HMAC_SHA256', 2);
    await catalog.refresh();

    expect((await verify(signature))?.version).toBe(1);
    expect(await verify(signature, 2)).toBeUndefined();
  });

  test.each([0, 1, 31, 33, 64])('asks no token about a signature of %i bytes', async (bytes) => {
    const { token, verify } = await startWithKey(1);

    expect(await verify(Buffer.alloc(bytes))).toBeUndefined();
    expect(token.calls.verify).toBe(0);
  });

  test('checks what was signed with an algorithm that is no longer enabled', async () => {
    const { service, token } = startService(['HMAC_SHA256']);
    token.writeKey('old', value, 'HMAC_SHA1');
    const signature = createHmac('sha1', value).update(data).digest();

    expect((await verifyOne(service, { key: 'old', signature }))?.version).toBe(1);
  });

  test('checks what a version has signed that may no longer sign', async () => {
    const { token, catalog, sign, verify, idOf } = await startWithKey(1);
    const { signature } = await sign();
    token.setState(idOf(1), 'DEACTIVATED');
    await catalog.refresh();

    expect((await verify(signature))?.version).toBe(1);
  });
});

describe('a batch', () => {
  const messages = ['one', '', 'three'].map((text) => Buffer.from(text));
  const macOf = (message: Uint8Array, key = value) =>
    createHmac('sha256', key).update(message).digest();

  test('is signed with one version in one token call, in order', async () => {
    const { service, token } = await startWithKey(1, 2);
    const asked = { key: 'webhooks', version: undefined, batch: messages };

    const { signatures, version } = await service.sign(context, asked);

    expect(signatures).toEqual(messages.map((message) => macOf(message)));
    expect(version.version).toBe(2);
    expect(token.calls.sign).toBe(1);
  });

  test('is verified in one token call, each message by itself', async () => {
    const { service, token, catalog } = await startWithKey(1);
    const newer = Buffer.alloc(32, 8);
    token.writeKey('webhooks', newer, 'HMAC_SHA256', 2);
    await catalog.refresh();
    const batch = [
      { data, mac: macOf(data) },
      { data, mac: Buffer.alloc(5) },
      { data, mac: macOf(data, newer) },
      { data, mac: Buffer.alloc(32) },
      { data: Buffer.alloc(0), mac: macOf(Buffer.alloc(0)) },
    ];

    const verified = await service.verify(context, { key: 'webhooks', version: undefined, batch });

    expect(verified.map((version) => version?.version)).toEqual([1, undefined, 2, undefined, 1]);
    expect(token.calls.verify).toBe(1);
  });

  test.each(['sign', 'verify'] as const)('asks the policy to %s once', async (operation) => {
    const { service, policyQuestions } = await startWithKey(1);
    const asked = { key: 'webhooks', version: undefined };
    const signed = messages.map((message) => ({ data: message, mac: macOf(message) }));

    if (operation === 'sign') await service.sign(context, { ...asked, batch: messages });
    else await service.verify(context, { ...asked, batch: signed });

    expect(policyQuestions).toEqual(['webhooks']);
  });

  test('costs one search when its key is not known yet', async () => {
    const { service, token } = startService();
    token.writeKey('new', value);

    await service.sign(context, { key: 'new', version: undefined, batch: messages });

    expect(token.calls).toMatchObject({ findKey: 1, sign: 1 });
  });

  test('leaves its signatures of a length that no version makes out of the token call', async () => {
    const { service, verifiedBatches } = await startWithKey(1);
    const right = { data, mac: macOf(data) };
    const batch = [
      { data, mac: Buffer.alloc(0) },
      right,
      { data, mac: Buffer.alloc(31) },
      { data, mac: Buffer.alloc(64) },
      right,
    ];

    const verified = await service.verify(context, { key: 'webhooks', version: 1, batch });

    expect(verified.map((version) => version?.version)).toEqual([
      ...[undefined, 1, undefined, undefined, 1],
    ]);
    expect(verifiedBatches).toEqual([[right, right]]);
  });

  test('fails as a whole when the state of its version forbids it', async () => {
    const { service, token, catalog, idOf } = await startWithKey(1);
    token.setState(idOf(1), 'SUSPENDED');
    await catalog.refresh();

    const asked = { key: 'webhooks', version: undefined, batch: messages };

    await expectReason(service.sign(context, asked), 'KEY_STATE_FORBIDS');
    expect(token.calls.sign).toBe(0);
  });

  test.each([
    ['is too long', Buffer.alloc(MAX_DATA_BYTES + 1), 'DATA_TOO_LARGE'],
    ['is the reserved text', FINGERPRINT_TEXT, 'DATA_RESERVED'],
  ] as const)('is refused as a whole when one message %s', async (_, refused, reason) => {
    const { service, token } = await startWithKey(1);
    const batch = [data, refused];
    const signed = batch.map((message) => ({ data: message, mac: Buffer.alloc(32) }));

    await expectReason(service.sign(context, { key: 'webhooks', version: 1, batch }), reason);
    await expectReason(
      service.verify(context, { key: 'webhooks', version: 1, batch: signed }),
      reason,
    );
    expect(token.calls).toMatchObject({ sign: 0, verify: 0 });
  });
});

describe('a request', () => {
  test.each([
    ['of a client with another grant on the key', 'reader', 'PERMISSION_DENIED'],
    ['of a client without a grant', 'stranger', 'KEY_NOT_FOUND'],
  ] as const)('%s is refused before the token is asked', async (_, client, reason) => {
    const { service, token } = startService();
    const by = { ...context, client };

    await expectReason(signOne(service, { by }), reason);
    await expectReason(verifyOne(service, { by, signature: Buffer.alloc(32) }), reason);
    expect(token.calls).toMatchObject({ findKey: 0, sign: 0, verify: 0 });
  });

  test.each([
    ['as much data as is allowed', Buffer.alloc(MAX_DATA_BYTES), undefined],
    ['more data than is allowed', Buffer.alloc(MAX_DATA_BYTES + 1), 'DATA_TOO_LARGE'],
    ['the reserved text', FINGERPRINT_TEXT, 'DATA_RESERVED'],
    ['a copy of the reserved text', Buffer.from(FINGERPRINT_TEXT), 'DATA_RESERVED'],
    ['less than the reserved text', FINGERPRINT_TEXT.subarray(1), undefined],
    ['more than the reserved text', Buffer.concat([FINGERPRINT_TEXT, Buffer.alloc(1)]), undefined],
  ] as const)('with %s', async (_, data, reason) => {
    const { service } = await startWithKey(1);
    const signature = Buffer.alloc(32);

    const outcomes = await Promise.allSettled([
      signOne(service, { data }),
      verifyOne(service, { data, signature }),
    ]);

    for (const outcome of outcomes) {
      expect(outcome).toMatchObject(
        reason === undefined ? { status: 'fulfilled' } : { reason: { reason } },
      );
    }
  });

  test('for a key that is not on the token answers like one for a key without grant', async () => {
    const { service } = startService();
    const by = { ...context, client: 'stranger' };

    const [missing, unseen] = await Promise.all([
      signOne(service, { key: 'missing' }).catch((error: unknown) => error),
      signOne(service, { key: 'missing', by }).catch((error: unknown) => error),
    ]);

    expect(missing).toEqual(unseen);
    expect(missing).toMatchObject({ reason: 'KEY_NOT_FOUND' });
  });

  test('of a caller who has gone costs nothing', async () => {
    const { service, token } = startService();
    const gone = new SigildError('CANCELLED', 'gone');
    const by = { client: 'backend', signal: AbortSignal.abort(gone) };

    await expectReason(signOne(service, { by }), 'CANCELLED');
    expect(token.calls).toMatchObject({ findKey: 0, sign: 0 });
  });
});

describe('a change that was made behind the back', () => {
  test('a new key is found at once', async () => {
    const { token, service } = await startWithKey(1);
    token.writeKey('new', value);

    expect((await signOne(service, { key: 'new' })).version.key).toBe('new');
  });

  test('a new version is found at once by its number', async () => {
    const { token, sign } = await startWithKey(1);
    token.writeKey('webhooks', value, 'HMAC_SHA256', 2);

    expect((await sign(2)).version.version).toBe(2);
  });

  test('a key that was made again signs with its new version', async () => {
    const { token, sign, idOf } = await startWithKey(1);
    token.remove(idOf(1));
    token.writeKey('webhooks', Buffer.alloc(32, 8));

    const { signature } = await sign();

    expect(signature).toEqual(createHmac('sha256', Buffer.alloc(32, 8)).update(data).digest());
  });

  test('a key that has gone is not found', async () => {
    const { token, sign, idOf } = await startWithKey(1);
    token.remove(idOf(1));

    await expectReason(sign(), 'KEY_NOT_FOUND');
    expect(token.calls).toMatchObject({ sign: 1, findKey: 1 });
  });

  test('a version that may no longer sign gives way to the one before', async () => {
    const { token, sign, idOf, clock } = await startWithKey(1, 2);
    clock.nowMs += 1_000;
    token.setState(idOf(2), 'SUSPENDED');

    expect((await sign()).version.version).toBe(1);
  });

  test('a primary that was just looked at and may no longer sign gives way at once', async () => {
    const { token, sign, idOf } = await startWithKey(1, 2);
    token.setState(idOf(2), 'DEACTIVATED');

    expect((await sign()).version.version).toBe(1);
  });

  test('a version that was just suspended does not keep the others from verifying', async () => {
    const { token, sign, verify, idOf } = await startWithKey(1, 2);
    const { signature } = await sign(1);
    token.setState(idOf(2), 'SUSPENDED');

    expect((await verify(signature))?.version).toBe(1);
  });

  test('a signature of a version that was just made is valid', async () => {
    const { token, verify } = await startWithKey(1);
    const newer = Buffer.alloc(32, 8);
    token.writeKey('webhooks', newer, 'HMAC_SHA256', 2);

    const verified = await verify(createHmac('sha256', newer).update(data).digest());

    expect(verified?.version).toBe(2);
  });

  test('a batch asks a version that was just made about those alone that no other has signed', async () => {
    const { token, service, sign, verifiedBatches } = await startWithKey(1);
    const { signature } = await sign();
    const newer = Buffer.alloc(32, 8);
    token.writeKey('webhooks', newer, 'HMAC_SHA256', 2);
    const macs = [
      signature,
      createHmac('sha256', newer).update(data).digest(),
      Buffer.alloc(32),
      Buffer.alloc(1),
    ];
    const batch = macs.map((mac) => ({ data, mac }));

    const verified = await service.verify(context, { key: 'webhooks', version: undefined, batch });

    expect(verified.map((version) => version?.version)).toEqual([1, 2, undefined, undefined]);
    expect(verifiedBatches).toEqual([batch.slice(0, 3), batch.slice(1, 3)]);
  });

  test('a wrong signature costs no search for the version that is asked for', async () => {
    const { token, verify } = await startWithKey(1, 2);

    expect(await verify(Buffer.alloc(32), 1)).toBeUndefined();
    expect(token.calls.findKey).toBe(0);
  });

  test('wrong signatures that come together cost one search', async () => {
    const { token, service } = await startWithKey(1);
    const verify = () => {
      const by = { client: 'backend', signal: new AbortController().signal };
      return verifyOne(service, { by, signature: Buffer.alloc(32) });
    };

    const verified = await Promise.all(Array.from({ length: 50 }, verify));

    expect(new Set(verified)).toEqual(new Set([undefined]));
    expect(token.calls.findKey).toBe(1);
  });

  test('a version that was activated again may sign, a second after it was looked at', async () => {
    const { token, catalog, sign, idOf, clock } = await startWithKey(1);
    token.setState(idOf(1), 'DEACTIVATED');
    await catalog.refresh();
    token.setState(idOf(1), 'ACTIVE');

    await expectReason(sign(), 'KEY_STATE_FORBIDS');
    clock.nowMs += 1_000;

    expect((await sign()).version.version).toBe(1);
  });

  test('a state that forbids costs one search a second, whoever asks how often', async () => {
    const { token, catalog, sign, idOf, clock } = await startWithKey(1);
    token.setState(idOf(1), 'SUSPENDED');
    await catalog.refresh();
    clock.nowMs += 1_000;

    for (let calls = 0; calls < 5; calls++) await expectReason(sign(), 'KEY_STATE_FORBIDS');

    expect(token.calls).toMatchObject({ findKey: 1, sign: 0 });
  });
});
