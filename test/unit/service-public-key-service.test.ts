import { createPublicKey } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { type ErrorReason, SigildError } from '../../src/domain/errors.ts';
import { startPairServices } from '../support/pair-services.ts';

function expectReason(work: Promise<unknown>, reason: ErrorReason): Promise<void> {
  return expect(work).rejects.toMatchObject({ reason });
}

describe('a public key', () => {
  test.each([
    ['RSA_SIGN_PKCS1_2048_SHA384', { kty: 'RSA', alg: 'RS384' }],
    ['RSA_SIGN_PSS_2048_SHA256', { kty: 'RSA', alg: 'PS256' }],
    ['EC_SIGN_P256_SHA256', { kty: 'EC', crv: 'P-256', alg: 'ES256' }],
    ['EC_SIGN_P384_SHA384', { kty: 'EC', crv: 'P-384', alg: 'ES384' }],
    ['EC_SIGN_P521_SHA512', { kty: 'EC', crv: 'P-521', alg: 'ES512' }],
    ['EC_SIGN_ED25519', { kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA' }],
  ] as const)('of %s is one key in every form', async (algorithm, members) => {
    const { publicKeys, admin, create } = startPairServices();
    const key = await create('invoices', algorithm);

    const found = await publicKeys.getPublicKey(admin, 'invoices', undefined);

    const [version] = key?.versions ?? [];
    expect(found.version).toEqual(version);
    expect(found.jwk).toMatchObject({ ...members, kid: version?.id, use: 'sig' });
    expect(found.jwk).not.toHaveProperty('d');
    const { der, pem, jwk } = found;
    const forms = [
      createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' }),
      createPublicKey(pem),
      createPublicKey({ key: jwk, format: 'jwk' }),
    ];
    const ders = forms.map((form) => form.export({ format: 'der', type: 'spki' }));
    expect(ders.every((form) => form.equals(der))).toBe(true);
  });

  test('is the primary version’s unless another is asked for', async () => {
    const { publicKeys, admin, create } = startPairServices();
    await create('invoices', 'EC_SIGN_ED25519', 'EC_SIGN_ED25519');

    const numbers = [undefined, 1, 2].map(async (version) => {
      const found = await publicKeys.getPublicKey(admin, 'invoices', version);
      return found.version.version;
    });

    expect(await Promise.all(numbers)).toEqual([2, 1, 2]);
  });

  test('is that of the newest version that may verify where none may sign', async () => {
    const { token, publicKeys, admin, create } = startPairServices();
    const key = await create('invoices', 'EC_SIGN_ED25519', 'EC_SIGN_ED25519');
    token.setState(key?.versions[0]?.id ?? '', 'SUSPENDED');
    token.setState(key?.versions[1]?.id ?? '', 'DEACTIVATED');

    const { version } = await publicKeys.getPublicKey(admin, 'invoices', undefined);

    expect(version.version).toBe(1);
  });

  test.each([
    ['a version that may not verify', 1, 'KEY_STATE_FORBIDS'],
    ['a version that is not there', 7, 'KEY_VERSION_NOT_FOUND'],
  ] as const)('is not given of %s', async (_, version, reason) => {
    const { token, publicKeys, admin, create } = startPairServices();
    const key = await create('invoices', 'EC_SIGN_ED25519', 'EC_SIGN_ED25519');
    token.setState(key?.versions[1]?.id ?? '', 'SUSPENDED');

    await expectReason(publicKeys.getPublicKey(admin, 'invoices', version), reason);
  });

  test('is nothing that a MAC key has', async () => {
    const { publicKeys, admin, create } = startPairServices();
    await create('webhooks', 'HMAC_SHA256');

    await expectReason(
      publicKeys.getPublicKey(admin, 'webhooks', undefined),
      'KEY_HAS_NO_PUBLIC_KEY',
    );
  });

  test('is for those with a grant of it', async () => {
    const { publicKeys, shop, create } = startPairServices();
    await create('shop-b', 'EC_SIGN_ED25519');
    await create('invoices', 'EC_SIGN_ED25519');

    expect(await publicKeys.getPublicKey(shop, 'shop-b', undefined)).toBeDefined();
    await expectReason(publicKeys.getPublicKey(shop, 'invoices', undefined), 'KEY_NOT_FOUND');
    await expectReason(publicKeys.getPublicKey(shop, 'shop-none', undefined), 'KEY_NOT_FOUND');
  });
});

describe('the list of public keys', () => {
  test('has every version that may verify, of key pairs alone', async () => {
    const { token, publicKeys, admin, create } = startPairServices();
    await create('b', 'EC_SIGN_ED25519', 'EC_SIGN_ED25519', 'EC_SIGN_ED25519');
    await create('a', 'EC_SIGN_P256_SHA256');
    await create('mac', 'HMAC_SHA256');
    const key = await token.findKey('b', admin.signal);
    token.setState(key?.versions[1]?.id ?? '', 'SUSPENDED');
    token.setState(key?.versions[2]?.id ?? '', 'DEACTIVATED');

    const found = await publicKeys.listPublicKeys(admin);

    expect(found.map(({ version }) => [version.key, version.version])).toEqual([
      ['a', 1],
      ['b', 3],
      ['b', 1],
    ]);
  });

  test('has the keys that the client may both list and read', async () => {
    const { publicKeys, shop, create } = startPairServices();
    for (const name of ['shop-a', 'shop-b', 'invoices']) await create(name, 'EC_SIGN_ED25519');

    const found = await publicKeys.listPublicKeys(shop);

    expect(found.map(({ version }) => version.key)).toEqual(['shop-a']);
  });

  test('is denied to a client that may list no key', async () => {
    const { publicKeys, admin } = startPairServices();

    await expectReason(
      publicKeys.listPublicKeys({ ...admin, client: 'stranger' }),
      'PERMISSION_DENIED',
    );
  });

  test.each(['TOKEN_REFUSED', 'KEY_NOT_FOUND', 'KEY_STATE_FORBIDS', 'KEY_AMBIGUOUS'] as const)(
    'leaves out a key that answers %s',
    async (reason) => {
      const { token, publicKeys, admin, create } = startPairServices();
      await create('a', 'EC_SIGN_ED25519');
      await create('b', 'EC_SIGN_ED25519');
      token.failNext('publicKeys', new SigildError(reason, 'not this one'));

      const found = await publicKeys.listPublicKeys(admin);

      expect(found.map(({ version }) => version.key)).toEqual(['b']);
    },
  );

  test('fails when the token cannot be reached', async () => {
    const { token, publicKeys, admin, create } = startPairServices();
    await create('a', 'EC_SIGN_ED25519');
    token.failNext('publicKeys', new SigildError('TOKEN_UNAVAILABLE', 'gone'));

    await expectReason(publicKeys.listPublicKeys(admin), 'TOKEN_UNAVAILABLE');
  });
});
