import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Algorithm } from '../../src/domain/algorithm.ts';
import { derOfRaw } from '../../src/domain/ecdsa-signature.ts';
import type { ErrorReason } from '../../src/domain/errors.ts';
import { FINGERPRINT_TEXT } from '../../src/service/reserved-text.ts';
import type { SignatureForm } from '../../src/service/signature-form.ts';
import { startPairServices } from '../support/pair-services.ts';

const DATA = Buffer.from('data');
const OTHER = Buffer.from('other data');

function digestOf(data: Uint8Array, hash = 'sha256'): Buffer {
  return createHash(hash).update(data).digest();
}

/** A service with the key `invoices`, and how its one client uses it. */
async function startWithKey(...algorithms: readonly Algorithm[]) {
  const { token, signing, admin, create } = startPairServices();
  await create('invoices', ...algorithms);
  const sign = async (
    messages: readonly Uint8Array[],
    form: SignatureForm = {},
    version?: number,
  ) =>
    (await signing.sign(admin, { key: 'invoices', version, batch: messages, ...form })).signatures;
  const verify = async (
    data: Uint8Array,
    mac: Uint8Array | undefined,
    form: SignatureForm = {},
    version?: number,
  ) => {
    const batch = [{ data, mac: mac ?? Buffer.alloc(0) }];
    const [found] = await signing.verify(admin, { key: 'invoices', version, batch, ...form });
    return found?.version;
  };
  return { token, signing, admin, sign, verify };
}

function expectReason(work: Promise<unknown>, reason: ErrorReason): Promise<void> {
  return expect(work).rejects.toMatchObject({ reason });
}

describe('an ECDSA key', () => {
  test('signs in DER, and verifies it', async () => {
    const { sign, verify } = await startWithKey('EC_SIGN_P256_SHA256');

    const [signature] = await sign([DATA]);

    expect(signature?.[0]).toBe(0x30);
    expect(await verify(DATA, signature)).toBe(1);
    expect(await verify(DATA, signature, { format: 'DER' })).toBe(1);
    expect(await verify(OTHER, signature)).toBeUndefined();
  });

  test('signs with r and s side by side where that is asked for', async () => {
    const { sign, verify } = await startWithKey('EC_SIGN_P521_SHA512');

    const [signature] = await sign([DATA], { format: 'RAW' });

    expect(signature).toHaveLength(132);
    expect(await verify(DATA, signature, { format: 'RAW' })).toBe(1);
    expect(await verify(DATA, signature)).toBeUndefined();
    expect(await verify(DATA, derOfRaw(signature ?? DATA))).toBe(1);
  });

  test('does not ask the token about a signature that is none', async () => {
    const { token, sign, verify } = await startWithKey('EC_SIGN_P256_SHA256');
    const [signature = DATA] = await sign([DATA]);

    for (const wrong of [
      Buffer.alloc(0),
      Buffer.alloc(64, 1),
      signature.subarray(1),
      Buffer.concat([signature, Buffer.alloc(1)]),
    ]) {
      expect(await verify(DATA, wrong)).toBeUndefined();
    }
    expect(token.calls.verify).toBe(0);
  });

  test('signs and verifies many messages in one trip each', async () => {
    const { token, signing, admin, sign } = await startWithKey('EC_SIGN_P384_SHA384');
    const messages = Array.from({ length: 20 }, (_, index) => Buffer.from(`message ${index}`));

    const signatures = await sign(messages);

    const batch = messages.map((data, index) => ({
      data,
      mac: index === 7 ? Buffer.from('none') : (signatures[index] ?? data),
    }));
    const verified = await signing.verify(admin, { key: 'invoices', version: undefined, batch });
    expect(verified.map((version) => version?.version)).toEqual(
      messages.map((_, index) => (index === 7 ? undefined : 1)),
    );
    expect(token.calls).toMatchObject({ sign: 1, verify: 1 });
  });
});

describe('a digest', () => {
  test.each([
    ['RSA_SIGN_PKCS1_2048_SHA256', 'sha256'],
    ['RSA_SIGN_PSS_2048_SHA512', 'sha512'],
    ['EC_SIGN_P384_SHA384', 'sha384'],
  ] as const)('is signed by %s as the data that it is of', async (algorithm, hash) => {
    const { sign, verify } = await startWithKey(algorithm);
    const digest = digestOf(DATA, hash);

    const [ofDigest] = await sign([digest], { digests: true });
    const [ofData] = await sign([DATA]);

    expect(await verify(DATA, ofDigest)).toBe(1);
    expect(await verify(digest, ofData, { digests: true })).toBe(1);
    expect(await verify(digestOf(OTHER, hash), ofData, { digests: true })).toBeUndefined();
  });

  test.each([
    ['of another hash', 'EC_SIGN_P256_SHA256', 48],
    ['of no bytes', 'EC_SIGN_P256_SHA256', 0],
    ['for a MAC key', 'HMAC_SHA256', 32],
    ['for an Ed25519 key', 'EC_SIGN_ED25519', 64],
  ] as const)('%s is refused', async (_, algorithm, bytes) => {
    const { token, sign, verify } = await startWithKey(algorithm);
    const digest = Buffer.alloc(bytes);
    const refusal = { reason: 'FIELD_INVALID', violations: [{ field: 'digest' }] };

    await expect(sign([digest], { digests: true })).rejects.toMatchObject(refusal);
    await expect(verify(digest, DATA, { digests: true })).rejects.toMatchObject(refusal);
    expect(token.calls).toMatchObject({ sign: 0, verify: 0 });
  });

  test('of the reserved text is refused as the text is', async () => {
    const { sign, verify } = await startWithKey('EC_SIGN_P256_SHA256');
    const digest = digestOf(FINGERPRINT_TEXT);

    await expectReason(sign([FINGERPRINT_TEXT]), 'DATA_RESERVED');
    await expectReason(sign([digest], { digests: true }), 'DATA_RESERVED');
    await expectReason(verify(digest, DATA, { digests: true }), 'DATA_RESERVED');
  });
});

test.each(['HMAC_SHA256', 'RSA_SIGN_PKCS1_2048_SHA256', 'EC_SIGN_ED25519'] as const)(
  'a signature of %s has no formats to choose from',
  async (algorithm) => {
    const { sign, verify } = await startWithKey(algorithm);
    const refusal = { reason: 'FIELD_INVALID', violations: [{ field: 'signature_format' }] };

    for (const format of ['DER', 'RAW'] as const) {
      await expect(sign([DATA], { format })).rejects.toMatchObject(refusal);
      await expect(verify(DATA, DATA, { format })).rejects.toMatchObject(refusal);
    }
  },
);

describe('a key whose versions have several algorithms', () => {
  test('verifies each signature with the version that made it', async () => {
    const { sign, verify } = await startWithKey(
      ...([
        'HMAC_SHA512',
        'EC_SIGN_P256_SHA256',
        'EC_SIGN_ED25519',
        'EC_SIGN_P384_SHA384',
      ] as const),
    );

    for (const version of [1, 2, 3, 4]) {
      const [signature] = await sign([DATA], {}, version);

      expect(await verify(DATA, signature)).toBe(version);
      expect(await verify(OTHER, signature)).toBeUndefined();
    }
  });

  test('verifies with those that know the form', async () => {
    const { sign, verify } = await startWithKey('HMAC_SHA256', 'EC_SIGN_P256_SHA256');
    const form = { digests: true, format: 'RAW' } as const;
    const digest = digestOf(DATA);

    const [signature] = await sign([digest], form, 2);

    expect(await verify(digest, signature, form)).toBe(2);
    await expectReason(verify(digest, signature, form, 1), 'FIELD_INVALID');
  });
});
