import { createHash, createHmac, generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { importSecret, type WrappedSecret } from '../../src/client/secret-import.ts';
import type { Algorithm } from '../../src/domain/algorithm.ts';
import { SigildError } from '../../src/domain/errors.ts';
import { importPublicKey, unwrapSecret } from '../support/secret-unwrapping.ts';

/** A daemon that unwraps what it is given, after it has refused some calls. */
function daemon(...refusals: readonly Error[]) {
  const unwrapped: (Buffer | undefined)[] = [];
  const ids: string[] = [];
  const left = [...refusals];
  const calls = {
    getImportKey: async () => ({
      importKeyId: `import key ${ids.length + 1}`,
      publicKeyDer: importPublicKey(),
      wrapping: 'RSA_OAEP_SHA256_AES_256_KWP' as const,
    }),
    importKey: async ({ importKeyId, wrappedKey }: WrappedSecret) => {
      ids.push(importKeyId);
      const refusal = left.shift();
      if (refusal) throw refusal;
      unwrapped.push(unwrapSecret(wrappedKey));
      return 'imported';
    },
  };
  return { calls, unwrapped, ids };
}

async function keyValueOf(algorithm: Algorithm, secret: Uint8Array): Promise<Buffer | undefined> {
  const { calls, unwrapped } = daemon();
  await importSecret(calls, algorithm, secret);
  return unwrapped[0];
}

const lost = new SigildError('IMPORT_KEY_NOT_FOUND', 'gone');

describe('the key that a secret stands for', () => {
  test.each([
    ['HMAC_SHA1', 'sha1', 16, 20],
    ['HMAC_SHA1', 'sha1', 20, 20],
    ['HMAC_SHA1', 'sha1', 64, 64],
    ['HMAC_SHA1', 'sha1', 65, 20],
    ['HMAC_SHA256', 'sha256', 1, 32],
    ['HMAC_SHA384', 'sha384', 129, 48],
    ['HMAC_SHA512', 'sha512', 128, 128],
    ['HMAC_SHA512', 'sha512', 10_000, 64],
    ['HMAC_SHA3_256', 'sha3-256', 136, 136],
    ['HMAC_SHA3_256', 'sha3-256', 137, 32],
    ['HMAC_SHA3_384', 'sha3-384', 105, 48],
    ['HMAC_SHA3_512', 'sha3-512', 73, 64],
  ] as const)(
    'for %s with %s, of %i bytes, has %i bytes and makes the same MACs',
    async (...row) => {
      const [algorithm, hash, secretBytes, keyBytes] = row;
      const secret = Buffer.alloc(secretBytes, 'secret');

      const value = await keyValueOf(algorithm, secret);

      expect(value?.byteLength).toBe(keyBytes);
      const macs = [secret, value ?? ''].map((key) =>
        createHmac(hash, key).update('x').digest('hex'),
      );
      expect(macs[0]).toBe(macs[1]);
    },
  );

  test.each([
    ['AES_128_CMAC', 16],
    ['AES_256_CMAC', 32],
  ] as const)('for %s is the secret itself', async (algorithm, bytes) => {
    const secret = createHash('sha256').digest().subarray(0, bytes);

    expect(await keyValueOf(algorithm, secret)).toEqual(secret);
  });

  test.each([
    ['AES_128_CMAC', 15],
    ['AES_128_CMAC', 32],
    ['AES_256_CMAC', 31],
    ['HMAC_SHA256', 0],
    ['AES_256_CMAC', 0],
  ] as const)('for %s cannot be one of %i bytes', async (algorithm, bytes) => {
    await expect(keyValueOf(algorithm, Buffer.alloc(bytes))).rejects.toThrow(RangeError);
  });

  test('must be bytes', async () => {
    await expect(keyValueOf('HMAC_SHA256', 'text' as unknown as Buffer)).rejects.toThrow(TypeError);
  });
});

describe('a private key', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

  test('goes with its public key', async () => {
    const { calls, unwrapped } = daemon();
    const sent: WrappedSecret[] = [];
    const importKey = (wrapped: WrappedSecret) => {
      sent.push(wrapped);
      return calls.importKey(wrapped);
    };
    const secret = privateKey.export({ format: 'der', type: 'pkcs8' });

    await importSecret({ ...calls, importKey }, 'EC_SIGN_P256_SHA256', secret);

    expect(unwrapped).toEqual([secret]);
    expect(sent[0]?.publicKeyDer).toEqual(publicKey.export({ format: 'der', type: 'spki' }));
  });

  test.each([
    ['noise', Buffer.alloc(100, 1)],
    ['nothing', Buffer.alloc(0)],
    ['PEM', Buffer.from(privateKey.export({ format: 'pem', type: 'pkcs8' }))],
    ['SEC 1', privateKey.export({ format: 'der', type: 'sec1' })],
    ['a public key', publicKey.export({ format: 'der', type: 'spki' })],
  ])('is not %s', async (_, secret) => {
    const { calls, ids } = daemon();

    await expect(importSecret(calls, 'EC_SIGN_P256_SHA256', secret)).rejects.toThrow(
      'the secret is no private key in PKCS #8 as DER',
    );
    expect(ids).toEqual([]);
  });
});

describe('an import', () => {
  test('gives the answer, and leaves the secret as it was', async () => {
    const { calls } = daemon();
    const secret = Buffer.from('a secret of some length, and more');

    expect(await importSecret(calls, 'HMAC_SHA256', secret)).toBe('imported');
    expect(secret.toString()).toBe('a secret of some length, and more');
  });

  test('gets another import key where the first is lost', async () => {
    const { calls, unwrapped, ids } = daemon(lost);
    const secret = Buffer.alloc(32, 1);

    await importSecret(calls, 'HMAC_SHA256', secret);

    expect(unwrapped).toEqual([secret]);
    expect(ids).toEqual(['import key 1', 'import key 2']);
  });

  test('gives up where the second is lost too', async () => {
    const { calls, ids } = daemon(lost, lost);

    await expect(importSecret(calls, 'HMAC_SHA256', Buffer.alloc(32))).rejects.toBe(lost);
    expect(ids).toHaveLength(2);
  });

  test('does not repeat what failed for another reason', async () => {
    const taken = new SigildError('KEY_ALREADY_EXISTS', 'taken');
    const { calls, ids } = daemon(taken);

    await expect(importSecret(calls, 'HMAC_SHA256', Buffer.alloc(32))).rejects.toBe(taken);
    expect(ids).toHaveLength(1);
  });

  test('sends nothing to a daemon that asks for a wrapping it does not know', async () => {
    const { calls, ids } = daemon();
    const getImportKey = async () => ({ ...(await calls.getImportKey()), wrapping: 9 as never });

    const importing = importSecret({ ...calls, getImportKey }, 'HMAC_SHA256', Buffer.alloc(32));

    await expect(importing).rejects.toThrow('does not know: 9');
    expect(ids).toEqual([]);
  });
});
