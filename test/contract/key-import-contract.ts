import { createHmac, generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Algorithm } from '../../src/domain/algorithm.ts';
import { SigildError } from '../../src/domain/errors.ts';
import type { Key } from '../../src/domain/key.ts';
import type { ImportKey } from '../../src/domain/key-import.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import type { Token } from '../../src/service/ports.ts';
import { wrapSecret } from '../../src/service/secret-wrapping.ts';
import type { NewKey } from '../../src/service/token-values.ts';
import { signOne } from '../support/one-message.ts';

const signal = new AbortController().signal;

const DATA = Buffer.from('data');

interface Wanted {
  readonly algorithm?: Algorithm;
  readonly version?: number;
  readonly tag?: Uint8Array;
}

function newKey(name: string, wanted: Wanted = {}): NewKey {
  const { algorithm = 'HMAC_SHA256', version = 1, tag = randomBytes(6) } = wanted;
  return { name, algorithm, id: encodeVersionId({ createTimeMs: Date.now(), version, tag }) };
}

async function reasonOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => new Error('it did not fail'),
    (failure: unknown) => failure,
  );
  if (error instanceof SigildError) return error.reason;
  throw error;
}

function flipped(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
  return changed;
}

/** How every implementation of the Token port takes in keys from outside. */
export function describeImports(subject: () => Token): void {
  const makeImportKey = (algorithm: Algorithm = 'HMAC_SHA256') =>
    subject().makeImportKey(algorithm, signal);

  const wrapped = ({ id, publicKey, wrapping }: ImportKey, secret: Uint8Array) => ({
    importKeyId: id,
    bytes: wrapSecret(secret, publicKey, wrapping),
  });

  const importKey = async (key: NewKey, secret: Uint8Array): Promise<Key> => {
    const offered = await makeImportKey(key.algorithm);
    return subject().createKey({ ...key, wrapped: wrapped(offered, secret) }, signal);
  };

  describe('an import', () => {
    test.each([
      ['HMAC_SHA1', 'sha1', 20],
      ['HMAC_SHA1', 'sha1', 64],
      ['HMAC_SHA256', 'sha256', 37],
      ['HMAC_SHA384', 'sha384', 128],
      ['HMAC_SHA512', 'sha512', 64],
    ] as const)('for %s makes the MACs of its secret', async (algorithm, hash, bytes) => {
      const secret = randomBytes(bytes);
      const wanted = newKey(`imported-${algorithm}-${bytes}`, { algorithm });

      const key = await importKey(wanted, secret);

      expect(key).toMatchObject({
        name: wanted.name,
        versions: [
          {
            version: 1,
            id: Buffer.from(wanted.id).toString('hex'),
            algorithm,
            state: 'ACTIVE',
            attributes: {
              sensitive: true,
              extractable: false,
              alwaysSensitive: false,
              neverExtractable: false,
              local: false,
            },
          },
        ],
      });
      expect(await subject().findKey(wanted.name, signal)).toEqual(key);
      const [version] = key.versions;
      const mac = version && (await signOne(subject(), version, DATA, signal));
      expect(mac).toEqual(createHmac(hash, secret).update(DATA).digest());
    });

    test('makes a further version of a generated key', async () => {
      const secret = randomBytes(32);
      await subject().createKey(newKey('import-grown'), signal);
      const wanted = newKey('import-grown', { version: 2 });
      const offered = await makeImportKey();

      const { versions } = await subject().createVersion(
        { ...wanted, wrapped: wrapped(offered, secret) },
        signal,
      );

      expect(versions.map(({ version, attributes }) => [version, attributes.local])).toEqual([
        [2, false],
        [1, true],
      ]);
      const [version] = versions;
      const mac = version && (await signOne(subject(), version, DATA, signal));
      expect(mac).toEqual(createHmac('sha256', secret).update(DATA).digest());
    });

    test('has an import key of its own each time', async () => {
      const [one, other] = [await makeImportKey(), await makeImportKey()];

      expect(one.id).toMatch(/^[0-9a-f]{32}$/);
      expect(other.id).not.toBe(one.id);
    });

    test('uses its import key up', async () => {
      const secret = wrapped(await makeImportKey(), randomBytes(32));
      await subject().createKey({ ...newKey('import-once'), wrapped: secret }, signal);

      const again = subject().createKey({ ...newKey('import-twice'), wrapped: secret }, signal);

      expect(await reasonOf(again)).toBe('IMPORT_KEY_NOT_FOUND');
      expect(await subject().findKey('import-twice', signal)).toBeUndefined();
    });

    test('uses its import key up when it fails, too', async () => {
      const offered = await makeImportKey();
      const key = newKey('import-failed');
      const short = { ...key, wrapped: wrapped(offered, randomBytes(1)) };
      await reasonOf(subject().createKey(short, signal));

      const again = subject().createKey(
        { ...key, wrapped: wrapped(offered, randomBytes(32)) },
        signal,
      );

      expect(await reasonOf(again)).toBe('IMPORT_KEY_NOT_FOUND');
    });

    test.each([
      ['with one bit of its first part flipped', (bytes: Buffer) => flipped(bytes, 100)],
      [
        'with one bit of its last part flipped',
        (bytes: Buffer) => flipped(bytes, bytes.length - 3),
      ],
      ['without its last 8 bytes', (bytes: Buffer) => bytes.subarray(0, -8)],
      ['without its last byte', (bytes: Buffer) => bytes.subarray(0, -1)],
      ['without its first byte', (bytes: Buffer) => bytes.subarray(1)],
      ['of one byte', () => Buffer.alloc(1)],
      ['with 8 bytes more', (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(8)])],
    ])('takes no wrapping %s, and leaves nothing', async (_, change) => {
      const before = (await subject().listKeys(undefined, signal)).keys;
      const { importKeyId, bytes } = wrapped(await makeImportKey(), randomBytes(32));
      const key = { ...newKey('import-changed'), wrapped: { importKeyId, bytes: change(bytes) } };

      const reason = await reasonOf(subject().createKey(key, signal));

      expect(reason).toBe('WRAPPED_KEY_INVALID');
      expect((await subject().listKeys(undefined, signal)).keys).toEqual(before);
    });

    test.each([1, 31, 65, 1_000])(
      'takes no secret of %i bytes for HMAC-SHA256, and leaves nothing',
      async (bytes) => {
        const reason = await reasonOf(importKey(newKey('import-length'), randomBytes(bytes)));

        expect(reason).toBe('WRAPPED_KEY_INVALID');
        expect(await subject().findKey('import-length', signal)).toBeUndefined();
      },
    );

    test('takes no wrapping for another public key', async () => {
      const offered = await makeImportKey();
      const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
      const other = publicKey.export({ type: 'spki', format: 'der' });
      const secret = wrapped({ ...offered, publicKey: other }, randomBytes(32));

      const reason = await reasonOf(
        subject().createKey({ ...newKey('import-other'), wrapped: secret }, signal),
      );

      expect(reason).toBe('WRAPPED_KEY_INVALID');
    });

    test('makes nothing when it is repeated with the same tag, without its import key', async () => {
      const tag = randomBytes(6);
      const secret = wrapped(await makeImportKey(), randomBytes(32));
      const wanted = () => ({ ...newKey('import-repeated', { tag }), wrapped: secret });
      const key = await subject().createKey(wanted(), signal);

      expect(await subject().createKey(wanted(), signal)).toEqual(key);
    });

    test('takes no name that is there', async () => {
      await subject().createKey(newKey('import-taken'), signal);

      const reason = await reasonOf(importKey(newKey('import-taken'), randomBytes(32)));

      expect(reason).toBe('KEY_ALREADY_EXISTS');
    });

    test('has no import key for an algorithm that the token lacks', async () => {
      expect(await reasonOf(makeImportKey('HMAC_SHA3_256'))).toBe('ALGORITHM_UNSUPPORTED');
    });
  });
}
