import { createHmac, generateKeyPairSync, randomBytes, verify } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Client, connect } from '../../src/client/client.ts';
import type { Wrapping } from '../../src/domain/key-import.ts';
import { wrapSecret } from '../../src/service/secret-wrapping.ts';
import { sigilctl, sigilctlOnTerminal } from '../integration/admin-sigilctl.ts';
import { connectClient, failureOf, type TestClient } from '../support/client.ts';
import { baseConfig, type Daemon, EVERYTHING, startDaemon } from '../support/daemon.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import partner from '../vectors/partner-scheme.json' with { type: 'json' };

const MESSAGE = partner.lines.join('\n');

let softHsm: SoftHsm;
let daemon: Daemon;
let client: TestClient;
/** Of another client than `test`. */
let other: TestClient;
let sdk: Client;

beforeAll(async () => {
  softHsm = createSoftHsm();
  const config = baseConfig(softHsm);
  daemon = await startDaemon(softHsm, {
    config: {
      algorithms: ['HMAC_SHA1', 'HMAC_SHA256', 'HMAC_SHA384', 'EC_SIGN_P256_SHA256'],
      listeners: [
        ...(config['listeners'] as object[]),
        { unix: join(softHsm.directory, 'other.sock'), mode: '0600', client: 'other' },
      ],
      clients: [
        { name: 'test', grants: EVERYTHING },
        { name: 'other', grants: [{ keys: ['other-*'], operations: ['importKey', 'sign'] }] },
      ],
    },
  });
  const [socket = '', , otherAddress = ''] = daemon.addresses;
  client = connectClient(socket);
  other = connectClient(otherAddress);
  sdk = connect({ address: socket });
});

afterAll(async () => {
  await sdk?.close();
  client?.close();
  other?.close();
  await daemon?.stop();
  softHsm?.remove();
});

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, SIGILD_ADDRESS: daemon.addresses[0] };
}

function run(args: readonly string[], stdin: string) {
  return sigilctl(args, { environment: environment(), stdin });
}

/** What stands on the token, by another program. */
function listed(): string {
  return softHsm.pkcs11Tool('--list-objects');
}

async function offer(algorithm: 'HMAC_SHA256' | 'HMAC_SHA384' = 'HMAC_SHA256') {
  const { importKeyId, publicKeyDer, wrapping } = await client.getImportKey({ algorithm });
  const wrap = (secret: Uint8Array) =>
    wrapSecret(secret, publicKeyDer as Buffer, wrapping as Wrapping);
  return { importKeyId: importKeyId as string, wrap };
}

test("the worked example of a partner's scheme comes out, by sigilctl alone", async () => {
  const file = join(softHsm.directory, 'partner.secret');
  writeFileSync(file, `${partner.secret}\n`, { mode: 0o600 });
  const args = ['--algorithm', partner.algorithm, '--format', 'text', '--secret-file', file];

  const imported = await run(['key', 'import', 'partner', ...args], '');
  const signed = await run(['sign', '--key', 'partner'], MESSAGE);
  const signature = signed.stdout.trimEnd();
  const verified = await run(['verify', '--key', 'partner', '--signature', signature], MESSAGE);

  expect(imported).toMatchObject({ exitCode: 0, stderr: '' });
  expect(Buffer.from(signature, 'base64').toString('hex')).toBe(partner.mac);
  expect(verified).toMatchObject({ exitCode: 0, stdout: 'valid, version 1\n' });
  const told = imported.stdout + imported.stderr + JSON.stringify(daemon.logLines);
  for (const form of ['utf8', 'hex', 'base64'] as const) {
    expect(told).not.toContain(Buffer.from(partner.secret).toString(form));
  }
});

test('a secret that is typed is asked for twice, and shown nowhere', async () => {
  const args = ['key', 'import', 'typed', '--algorithm', 'HMAC_SHA1', '--format', 'text'];

  const { exitCode, transcript, visible, echoes } = sigilctlOnTerminal(args, environment(), [
    ['Secret (text): ', `${partner.secret}\r`],
    ['Secret, again: ', `${partner.secret}\r`],
  ]);

  expect({ exitCode, echoes }).toEqual({ exitCode: 0, echoes: true });
  expect(transcript + visible).not.toContain(partner.secret);
  const { signature } = await sdk.key('typed').sign(Buffer.from(MESSAGE));
  expect(Buffer.from(signature).toString('hex')).toBe(partner.mac);
});

test('a private key signs for its public key, which the daemon gives out', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = String(privateKey.export({ format: 'pem', type: 'pkcs8' }));
  const args = ['--algorithm', 'EC_SIGN_P256_SHA256', '--format', 'pem', '--secret-stdin'];

  const imported = await run(['key', 'import', 'signer', ...args], pem);
  const { signature } = await sdk.key('signer').sign(Buffer.from(MESSAGE));

  expect(imported).toMatchObject({ exitCode: 0, stderr: '' });
  expect(verify('sha256', Buffer.from(MESSAGE), publicKey, signature)).toBe(true);
  const { publicKey: given } = await client.getPublicKey({ key: 'signer' });
  expect(given?.der).toEqual(publicKey.export({ format: 'der', type: 'spki' }));
});

test('an imported version follows one that was generated, and both verify', async () => {
  const key = sdk.key('mixed');
  const data = Buffer.from('data');
  await sdk.keys.create('mixed', 'HMAC_SHA256');
  const { signature: before } = await key.sign(data);
  const secret = randomBytes(50);

  const options = { algorithm: 'HMAC_SHA256', secret, newVersion: true, keepActive: true } as const;
  const { versions } = await sdk.keys.import('mixed', options);

  expect(versions.map(({ version, state, origin }) => [version, state, origin])).toEqual([
    [2, 'ACTIVE', 'IMPORTED'],
    [1, 'ACTIVE', 'GENERATED'],
  ]);
  const { signature, version } = await key.sign(data);
  expect(version).toBe(2);
  expect(Buffer.from(signature)).toEqual(createHmac('sha256', secret).update(data).digest());
  expect(await key.verify(data, before)).toEqual({ valid: true, version: 1 });
});

test('the token shows an imported key to other programs as one that cannot leave it', async () => {
  await sdk.keys.import('shown', { algorithm: 'HMAC_SHA384', secret: randomBytes(1) });

  const [, shown = ''] = listed().split('label:      shown');

  expect(shown).toContain('sensitive');
  expect(shown.split('Secret Key Object')[0]).not.toContain('extractable');
});

describe('an import is refused, and leaves the token as it was,', () => {
  test.each([
    ['with an import key for another algorithm', 'FIELD_INVALID', { algorithm: 'HMAC_SHA384' }],
    ['of an algorithm that is not allowed', 'ALGORITHM_DISABLED', { algorithm: 'HMAC_SHA512' }],
    ['with an unknown import key', 'IMPORT_KEY_NOT_FOUND', { importKeyId: '0'.repeat(32) }],
    ['with no wrapping', 'FIELD_INVALID', { wrappedKey: Buffer.alloc(0) }],
    ['with another wrapping', 'WRAPPED_KEY_INVALID', { wrappedKey: randomBytes(424) }],
    ['as a next version of no key', 'KEY_NOT_FOUND', { newVersion: true }],
  ] as const)('%s', async (_, reason, wrong) => {
    const { importKeyId, wrap } = await offer();
    const before = listed();
    const request = { key: 'refused', algorithm: 'HMAC_SHA256', importKeyId } as const;

    const failure = await failureOf(
      client.importKey({ ...request, wrappedKey: wrap(randomBytes(32)), ...wrong }),
    );

    expect(failure.reason).toBe(reason);
    expect(listed()).toBe(before);
  });

  test.each([1, 31, 65, 4_000])('of a secret of %i bytes', async (bytes) => {
    const { importKeyId, wrap } = await offer();
    const before = listed();
    const request = { key: 'refused', algorithm: 'HMAC_SHA256', importKeyId } as const;

    const failure = await failureOf(
      client.importKey({ ...request, wrappedKey: wrap(randomBytes(bytes)) }),
    );

    expect(['WRAPPED_KEY_INVALID', 'FIELD_INVALID']).toContain(failure.reason);
    expect(listed()).toBe(before);
  });

  test('with the import key of another client', async () => {
    const { importKeyId, wrap } = await offer();
    const before = listed();
    const request = { key: 'other-key', algorithm: 'HMAC_SHA256', importKeyId } as const;

    const failure = await failureOf(
      other.importKey({ ...request, wrappedKey: wrap(randomBytes(32)) }),
    );

    expect(failure.reason).toBe('IMPORT_KEY_NOT_FOUND');
    expect(listed()).toBe(before);
  });

  test('without a grant', async () => {
    const { importKeyId, wrap } = await offer();
    const request = { key: 'mine', algorithm: 'HMAC_SHA256', importKeyId } as const;

    const failure = await failureOf(
      other.importKey({ ...request, wrappedKey: wrap(randomBytes(32)) }),
    );

    expect(failure.reason).toBe('PERMISSION_DENIED');
  });

  test('to a name that is taken', async () => {
    await sdk.keys.create('taken', 'HMAC_SHA256');
    const { importKeyId, wrap } = await offer();
    const before = listed();
    const request = { key: 'taken', algorithm: 'HMAC_SHA256', importKeyId } as const;

    const failure = await failureOf(
      client.importKey({ ...request, wrappedKey: wrap(randomBytes(32)) }),
    );

    expect(failure.reason).toBe('KEY_ALREADY_EXISTS');
    expect(listed()).toBe(before);
  });
});
