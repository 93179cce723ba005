import { createHash, createPublicKey } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Client, connect } from '../../src/client/client.ts';
import { type RpcFixture, startRpc } from '../support/rpc-fixture.ts';

const DATA = Buffer.from('a message');
const DIGEST = createHash('sha256').update(DATA).digest();

let rpc: RpcFixture;
let client: Client;

beforeEach(async () => {
  rpc = startRpc();
  client = connect({ address: await rpc.listen() });
  await client.keys.create('invoices', 'EC_SIGN_P256_SHA256');
});

afterEach(async () => {
  await client.close();
  await rpc.close();
});

test('signs data with a key pair, beside all others that sign', async () => {
  const key = client.key('invoices');

  const { signature, algorithm } = await key.sign(DATA);

  expect(algorithm).toBe('EC_SIGN_P256_SHA256');
  expect(signature[0]).toBe(0x30);
  expect(await key.verify(DATA, signature)).toEqual({ valid: true, version: 1 });
});

test('signs a digest, and verifies by one', async () => {
  const key = client.key('invoices');

  const { signature } = await key.sign({ digest: DIGEST });

  expect(await key.verify(DATA, signature)).toEqual({ valid: true, version: 1 });
  expect(await key.verify({ digest: DIGEST }, signature)).toEqual({ valid: true, version: 1 });
  expect(await key.verify({ digest: Buffer.alloc(32) }, signature)).toEqual({ valid: false });
});

test('signs with r and s side by side where that is asked for', async () => {
  const key = client.key('invoices');

  const { signature } = await key.sign(DATA, { format: 'RAW', version: 1 });

  expect(signature).toHaveLength(64);
  expect(await key.verify(DATA, signature, { format: 'RAW' })).toEqual({ valid: true, version: 1 });
  expect(await key.verify(DATA, signature)).toEqual({ valid: false });
});

test.each([[{ digest: 'text' }], [{ digest: undefined }], [{}], [undefined], ['text']])(
  'signs no digest that is no bytes: %j',
  async (message) => {
    await expect(client.key('invoices').sign(message as never)).rejects.toThrow(TypeError);
  },
);

test('says what is wrong with a digest', async () => {
  await client.keys.create('mac', 'HMAC_SHA256');

  await expect(client.key('mac').sign({ digest: DIGEST })).rejects.toMatchObject({
    reason: 'FIELD_INVALID',
  });
  await expect(client.key('invoices').sign({ digest: DATA })).rejects.toMatchObject({
    reason: 'FIELD_INVALID',
  });
});

test('gives the public key of each version', async () => {
  await client.keys.rotate('invoices');

  const primary = await client.keys.publicKey('invoices');
  const first = await client.keys.publicKey('invoices', { version: 1 });

  expect(primary).toMatchObject({ key: 'invoices', version: 2, algorithm: 'EC_SIGN_P256_SHA256' });
  expect(first.version).toBe(1);
  expect(first.jwk).toMatchObject({ kty: 'EC', alg: 'ES256', use: 'sig', kid: first.versionId });
  const der = createPublicKey(first.pem).export({ format: 'der', type: 'spki' });
  expect(der.equals(first.der)).toBe(true);
});

test('gives all public keys as a JWK Set', async () => {
  await client.keys.create('mac', 'HMAC_SHA256');
  await client.keys.create('contracts', 'EC_SIGN_ED25519');

  const { keys } = await client.keys.jwks();

  expect(keys.map(({ alg }) => alg)).toEqual(['EdDSA', 'ES256']);
});

test('says that a MAC key has no public key', async () => {
  await client.keys.create('mac', 'HMAC_SHA256');

  await expect(client.keys.publicKey('mac')).rejects.toMatchObject({
    reason: 'KEY_HAS_NO_PUBLIC_KEY',
  });
});
