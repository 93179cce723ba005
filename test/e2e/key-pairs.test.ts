import { execFileSync } from 'node:child_process';
import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  webcrypto,
} from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Algorithm, hashOf } from '../../src/domain/algorithm.ts';
import { connectClient, failureOf, type TestClient } from '../support/client.ts';
import { baseConfig, type Daemon, startDaemon } from '../support/daemon.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import rfc8032 from '../vectors/rfc8032.json' with { type: 'json' };

const PSS = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:digest'];

/** Each with a pair of openssl's kind, and what openssl is told to sign and verify as it does. */
const PAIRS = [
  ['RSA_SIGN_PKCS1_2048_SHA256', () => rsa(2_048), ['dgst', '-sha256']],
  ['RSA_SIGN_PKCS1_3072_SHA512', () => rsa(3_072), ['dgst', '-sha512']],
  ['RSA_SIGN_PSS_2048_SHA256', () => rsa(2_048), ['dgst', '-sha256', ...PSS]],
  ['RSA_SIGN_PSS_3072_SHA384', () => rsa(3_072), ['dgst', '-sha384', ...PSS]],
  ['EC_SIGN_P256_SHA256', () => ec('P-256'), ['dgst', '-sha256']],
  ['EC_SIGN_P384_SHA384', () => ec('P-384'), ['dgst', '-sha384']],
  ['EC_SIGN_P521_SHA512', () => ec('P-521'), ['dgst', '-sha512']],
  ['EC_SIGN_ED25519', () => generateKeyPairSync('ed25519').privateKey, ['pkeyutl', '-rawin']],
] as const satisfies readonly (readonly [Algorithm, () => KeyObject, readonly string[]])[];

const DATA = randomBytes(500);

let softHsm: SoftHsm;
let daemon: Daemon;
let client: TestClient;
const pems = new Map<string, string>();

beforeAll(async () => {
  softHsm = createSoftHsm();
  for (const [algorithm, generate] of PAIRS) importPair(`openssl.${algorithm}`, generate());
  for (const { case: number, seed } of rfc8032.cases) {
    importPair(`rfc8032.${number}`, ed25519(Buffer.from(seed, 'hex')));
  }
  const adopt = PAIRS.map(([algorithm]) => ({ label: `openssl.${algorithm}`, algorithm }));
  adopt.push({ label: 'rfc8032.*', algorithm: 'EC_SIGN_ED25519' });
  const { token } = baseConfig(softHsm);
  daemon = await startDaemon(softHsm, { config: { token: { ...(token as object), adopt } } });
  client = connectClient(daemon.addresses[0] as string, undefined, 20_000);
});

afterAll(async () => {
  client?.close();
  await daemon?.stop();
  softHsm?.remove();
});

function importPair(label: string, key: KeyObject): void {
  const pem = key.export({ format: 'pem', type: 'pkcs8' }).toString();
  pems.set(label, pem);
  softHsm.importPair(label, pem);
}

function rsa(modulusLength: number): KeyObject {
  return generateKeyPairSync('rsa', { modulusLength }).privateKey;
}

function ec(namedCurve: string): KeyObject {
  return generateKeyPairSync('ec', { namedCurve }).privateKey;
}

/** What stands before the seed in the PKCS #8 of an Ed25519 key. */
const ED25519_PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

function ed25519(seed: Buffer): KeyObject {
  const key = Buffer.concat([ED25519_PKCS8, seed]);
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(softHsm.directory, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
}

function opensslSign([command, ...how]: readonly string[], pem: string): Buffer {
  const [key, data] = [file('key.pem', pem), file('data', DATA)];
  const args = command === 'dgst' ? ['-sign', key, data] : ['-sign', '-inkey', key, '-in', data];
  return execFileSync('openssl', [command as string, ...how, ...args]);
}

/** What openssl says: it fails for a signature that is not valid. */
function opensslVerify(
  [command, ...how]: readonly string[],
  pem: string,
  signature: Uint8Array,
): string {
  const [key, data, sig] = [file('public.pem', pem), file('data', DATA), file('sig', signature)];
  const args =
    command === 'dgst'
      ? ['-verify', key, '-signature', sig, data]
      : ['-verify', '-pubin', '-inkey', key, '-sigfile', sig, '-in', data];
  return execFileSync('openssl', [command as string, ...how, ...args], { encoding: 'utf8' });
}

async function publicPem(key: string): Promise<string> {
  const { publicKey } = await client.getPublicKey({ key });
  return publicKey?.pem ?? '';
}

describe.each(PAIRS)('%s', (algorithm, _generate, how) => {
  const imported = `openssl.${algorithm}`;
  const made = `made.${algorithm}`;

  beforeAll(async () => {
    await client.createKey({ key: made, algorithm });
  });

  test('verifies what openssl has signed', async () => {
    const signature = opensslSign(how, pems.get(imported) ?? '');

    expect(await client.verify({ key: imported, data: DATA, signature })).toMatchObject({
      valid: true,
      version: 1,
    });
    expect(await client.verify({ key: made, data: DATA, signature })).toMatchObject({
      valid: false,
    });
    const other = Buffer.concat([DATA, DATA]);
    expect(await client.verify({ key: imported, data: other, signature })).toMatchObject({
      valid: false,
    });
  });

  test.each([imported, made])('signs with %s as openssl verifies', async (key) => {
    const { signature = Buffer.alloc(0) } = await client.sign({ key, data: DATA });

    expect(opensslVerify(how, await publicPem(key), signature)).toMatch(/Verified OK|Successfully/);
    expect(await client.verify({ key, data: DATA, signature })).toMatchObject({ valid: true });
  });

  test('signs a digest as the data that it is of, unless it has no hash', async () => {
    const hash = hashOf(algorithm);
    const digest = createHash(hash ?? 'sha256')
      .update(DATA)
      .digest();
    const signing = client.sign({ key: made, digest });
    if (hash === undefined) {
      expect(await failureOf(signing)).toMatchObject({ reason: 'FIELD_INVALID' });
      return;
    }

    const { signature = Buffer.alloc(0) } = await signing;

    expect(opensslVerify(how, await publicPem(made), signature)).toMatch(/Verified OK/);
    for (const asked of [{ data: DATA }, { digest }]) {
      const answer = await client.verify({ key: made, signature, ...asked });
      expect(answer).toMatchObject({ valid: true, version: 1 });
    }
  });
});

describe('Ed25519', () => {
  test.each(rfc8032.cases)('answers case $case of RFC 8032', async (vector) => {
    const key = `rfc8032.${vector.case}`;
    const data = Buffer.from(vector.data, 'hex');

    const { signature } = await client.sign({ key, data });

    expect(signature?.toString('hex')).toBe(vector.signature);
    const expected = Buffer.from(vector.signature, 'hex');
    expect(await client.verify({ key, data, signature: expected })).toMatchObject({ valid: true });
    const { publicKey } = await client.getPublicKey({ key });
    expect(publicKey?.der?.subarray(-32).toString('hex')).toBe(vector.publicKey);
  });
});

describe('a raw ECDSA signature', () => {
  const key = 'made.EC_SIGN_P256_SHA256';

  test('is what JWS calls ES256', async () => {
    const { publicKey } = await client.getPublicKey({ key });
    const jwk = JSON.parse(publicKey?.jwk ?? '');
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
    const verifier = await webcrypto.subtle.importKey('jwk', jwk, algorithm, false, ['verify']);

    const { signature = Buffer.alloc(0) } = await client.sign({
      ...{ key, data: DATA, signatureFormat: 'RAW' },
    });

    expect(signature).toHaveLength(64);
    expect(await webcrypto.subtle.verify(algorithm, verifier, signature, DATA)).toBe(true);
    expect(jwk).toMatchObject({ alg: 'ES256', use: 'sig', kid: publicKey?.versionId });
  });

  test('is valid in its own format alone', async () => {
    const { signature: raw = DATA } = await client.sign({
      key,
      data: DATA,
      signatureFormat: 'RAW',
    });
    const { signature: der = DATA } = await client.sign({ key, data: DATA });
    const isValid = async (signature: Buffer, signatureFormat: 'DER' | 'RAW') =>
      (await client.verify({ key, data: DATA, signature, signatureFormat })).valid;

    expect(await isValid(raw, 'RAW')).toBe(true);
    expect(await isValid(der, 'DER')).toBe(true);
    expect(await isValid(raw, 'DER')).toBe(false);
    expect(await isValid(der, 'RAW')).toBe(false);
    expect(await isValid(Buffer.concat([der, Buffer.alloc(1)]), 'DER')).toBe(false);
  });
});

describe('the life of a key pair', () => {
  test('goes on with a rotation, after which both versions verify and are published', async () => {
    const { key: first } = await client.createKey({
      ...{ key: 'rotated', algorithm: 'EC_SIGN_P256_SHA256' },
    });
    const { signature: before = DATA } = await client.sign({ key: 'rotated', data: DATA });

    const { key: second } = await client.rotateKey({ key: 'rotated' });

    const { signature: after = DATA } = await client.sign({ key: 'rotated', data: DATA });
    const verify = (signature: Buffer) => client.verify({ key: 'rotated', data: DATA, signature });
    expect(await verify(before)).toMatchObject({ valid: true, version: 1 });
    expect(await verify(after)).toMatchObject({ valid: true, version: 2 });
    const { publicKeys, jwks } = await client.listPublicKeys();
    const ids = [...(second?.versions ?? [])].map(({ id }) => id);
    expect(ids[1]).toBe(first?.versions[0]?.id);
    expect(
      publicKeys.filter((found) => found.key === 'rotated').map(({ versionId }) => versionId),
    ).toEqual(ids);
    const kids = JSON.parse(jwks ?? '').keys.map(({ kid }: { readonly kid: string }) => kid);
    expect(kids).toEqual(expect.arrayContaining(ids));
  });

  test('is suspended and goes on, as the token says', async () => {
    await client.createKey({ key: 'suspended', algorithm: 'EC_SIGN_ED25519' });
    const { signature = DATA } = await client.sign({ key: 'suspended', data: DATA });
    const asked = { key: 'suspended', version: 1 };

    await client.updateKeyVersion({ ...asked, state: 'SUSPENDED' });

    for (const refused of [
      client.sign({ ...asked, data: DATA }),
      client.verify({ ...asked, data: DATA, signature }),
      client.getPublicKey(asked),
    ]) {
      expect(await failureOf(refused)).toMatchObject({ reason: 'KEY_STATE_FORBIDS' });
    }
    const { publicKeys } = await client.listPublicKeys();
    expect(publicKeys.map(({ key }) => key)).not.toContain('suspended');

    await client.updateKeyVersion({ ...asked, state: 'ACTIVE' });

    expect(await client.verify({ ...asked, data: DATA, signature })).toMatchObject({ valid: true });
  });
});

describe('bad input', () => {
  const pair = 'made.EC_SIGN_P256_SHA256';
  const digest = Buffer.alloc(32, 1);
  const reserved = Buffer.from('sigild key fingerprint v1: reserved, never signed for a client');

  beforeAll(async () => {
    await client.createKey({ key: 'mac', algorithm: 'HMAC_SHA256' });
  });

  test.each([
    ['data and its digest', { key: pair, data: DATA, digest }, 'FIELD_INVALID', 'digest'],
    ['neither data nor digest', { key: pair }, 'DATA_MISSING', 'data'],
    ['a short digest', { key: pair, digest: Buffer.alloc(31) }, 'FIELD_INVALID', 'digest'],
    ['a long digest', { key: pair, digest: Buffer.alloc(48) }, 'FIELD_INVALID', 'digest'],
    ['an empty digest', { key: pair, digest: Buffer.alloc(0) }, 'FIELD_INVALID', 'digest'],
    ['a digest for a MAC key', { key: 'mac', digest }, 'FIELD_INVALID', 'digest'],
    [
      'a format for a MAC key',
      { key: 'mac', data: DATA, signatureFormat: 'RAW' },
      'FIELD_INVALID',
      'signature_format',
    ],
    [
      'a format for an RSA key',
      { key: 'made.RSA_SIGN_PKCS1_2048_SHA256', data: DATA, signatureFormat: 'DER' },
      'FIELD_INVALID',
      'signature_format',
    ],
    [
      'a format that there is not',
      { key: pair, data: DATA, signatureFormat: 7 as never },
      'FIELD_INVALID',
      'signature_format',
    ],
    ['the reserved text', { key: pair, data: reserved }, 'DATA_RESERVED', undefined],
    [
      'the digest of the reserved text',
      { key: pair, digest: createHash('sha256').update(reserved).digest() },
      'DATA_RESERVED',
      undefined,
    ],
  ] as const)('%s is refused, to sign and to verify', async (_, request, reason, field) => {
    const expected = { code: status.INVALID_ARGUMENT, reason, fields: field ? [field] : [] };

    expect(await failureOf(client.sign(request))).toMatchObject(expected);
    expect(
      await failureOf(client.verify({ ...request, signature: Buffer.alloc(64) })),
    ).toMatchObject(expected);
  });

  test('a public key is not asked of a MAC key', async () => {
    expect(await failureOf(client.getPublicKey({ key: 'mac' }))).toMatchObject({
      code: status.FAILED_PRECONDITION,
      reason: 'KEY_HAS_NO_PUBLIC_KEY',
    });
  });
});
