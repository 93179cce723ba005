import { generateKeyPairSync, type KeyObject, randomBytes, verify } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PairAlgorithm } from '../../src/domain/algorithm.ts';
import { SigildError } from '../../src/domain/errors.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import { AttributeReader, findObjects } from '../../src/pkcs11/attributes.ts';
import { KeyChanges } from '../../src/pkcs11/key-changes.ts';
import { openSession } from '../../src/pkcs11/session.ts';
import type { TokenConnection } from '../../src/pkcs11/token-connection.ts';
import type { TokenSession } from '../../src/pkcs11/token-session.ts';
import { wrapSecret } from '../../src/service/secret-wrapping.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { connectTo, openTokenSession } from '../support/token-sessions.ts';

const DATA = Buffer.from('data');

let softHsm: SoftHsm;
let connection: TokenConnection;
let session: TokenSession;
let changes: KeyChanges;

beforeAll(() => {
  softHsm = createSoftHsm();
  connection = connectTo(softHsm);
  session = openTokenSession(connection);
  changes = new KeyChanges(session);
});

afterAll(() => {
  session?.close();
  connection?.close();
  softHsm?.remove();
});

interface Pair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** SubjectPublicKeyInfo of P-256, with a point of one byte. */
const INFINITY = Buffer.from('3019301306072a8648ce3d020106082a8648ce3d03010703020000', 'hex');

function ecPair(namedCurve: string): Pair {
  return generateKeyPairSync('ec', { namedCurve });
}

function rsaPair(modulusLength: number): Pair {
  return generateKeyPairSync('rsa', { modulusLength });
}

function importPair(
  name: string,
  algorithm: PairAlgorithm,
  { publicKey }: Pick<Pair, 'publicKey'>,
  { privateKey }: Pick<Pair, 'privateKey'>,
) {
  const secret = privateKey.export({ format: 'der', type: 'pkcs8' });
  return importSecret(name, algorithm, publicKey, secret);
}

function importSecret(
  name: string,
  algorithm: PairAlgorithm,
  key: KeyObject | Buffer,
  secret: Uint8Array,
) {
  const id = encodeVersionId({ createTimeMs: Date.now(), version: 1, tag: randomBytes(6) });
  const offered = changes.makeImportKey(algorithm);
  const wrapped = {
    importKeyId: offered.id,
    bytes: wrapSecret(secret, offered.publicKey, offered.wrapping),
    publicKey: Buffer.isBuffer(key) ? key : key.export({ format: 'der', type: 'spki' }),
  };
  return changes.createKey({ name, algorithm, id, wrapped }).key;
}

function reasonOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof SigildError) return error.reason;
    throw error;
  }
  throw new Error('it did not fail');
}

/** Every object that this process sees, those of its sessions too. */
function objectCount(): number {
  const own = openSession(connection.slot);
  const count = findObjects(own, new Map()).length;
  own.close();
  return count;
}

describe('a private key', () => {
  test.each([
    ['RSA_SIGN_PKCS1_2048_SHA256', () => rsaPair(2_048), 'sha256'],
    ['RSA_SIGN_PKCS1_4096_SHA512', () => rsaPair(4_096), 'sha512'],
    ['EC_SIGN_P256_SHA256', () => ecPair('P-256'), 'sha256'],
    ['EC_SIGN_P384_SHA384', () => ecPair('P-384'), 'sha384'],
    ['EC_SIGN_P521_SHA512', () => ecPair('P-521'), 'sha512'],
  ] as const)('for %s signs in the token what its public key verifies', (algorithm, make, hash) => {
    const pair = make();

    const { versions } = importPair(`pair-${algorithm}`, algorithm, pair, pair);

    const [version] = versions;
    if (!version) throw new Error('the key has no version');
    expect(version).toMatchObject({
      algorithm,
      state: 'ACTIVE',
      attributes: {
        ...{ sensitive: true, extractable: false, local: false },
        ...{ alwaysSensitive: false, neverExtractable: false },
      },
    });
    const [signature = Buffer.alloc(0)] = session.sign(version, [DATA]).result;
    const key = { key: pair.publicKey, dsaEncoding: 'ieee-p1363' } as const;
    expect(verify(hash, DATA, key, signature)).toBe(true);
    expect(session.findKey(version.key)?.versions).toEqual(versions);
  });

  test('stands on the token as two objects, and both can be used for nothing else', () => {
    const pair = ecPair('P-256');

    importPair('two-objects', 'EC_SIGN_P256_SHA256', pair, pair);

    const own = openSession(connection.slot);
    const found = findObjects(own, new Map([[pkcs11js.CKA_LABEL, 'two-objects']]));
    const usages = [pkcs11js.CKA_DERIVE, pkcs11js.CKA_UNWRAP, pkcs11js.CKA_WRAP];
    const flags = found.flatMap((handle) =>
      usages.map((type) => new AttributeReader().read(own, handle, [type]).flag(type) ?? false),
    );
    own.close();
    expect(found).toHaveLength(2);
    expect(flags).not.toContain(true);
  });

  test.each([
    ['the private key of another pair', () => ecPair('P-256'), () => ecPair('P-256')],
    ['a private key of another curve', () => ecPair('P-256'), () => ecPair('P-384')],
    ['a private key of another type', () => ecPair('P-256'), () => rsaPair(2_048)],
    ['a public key of another curve', () => ecPair('P-384'), () => ecPair('P-256')],
    ['a public key of another type', () => rsaPair(2_048), () => ecPair('P-256')],
  ] as const)('is refused with %s, and leaves no object', (_, makeOne, makeOther) => {
    const [one, other] = [makeOne(), makeOther()];
    const before = objectCount();

    const reason = reasonOf(() => importPair('refused', 'EC_SIGN_P256_SHA256', one, other));

    expect(reason).toBe('WRAPPED_KEY_INVALID');
    expect(objectCount()).toBe(before);
    expect(session.findKey('refused')).toBeUndefined();
  });

  test('is refused where it has another length than the algorithm says', () => {
    const pair = rsaPair(2_048);

    const reason = reasonOf(() => importPair('short', 'RSA_SIGN_PSS_3072_SHA256', pair, pair));

    expect(reason).toBe('WRAPPED_KEY_INVALID');
  });

  test.each([1, 100, 4_000])('is no %i bytes of noise', (bytes) => {
    const { publicKey } = ecPair('P-256');
    const before = objectCount();

    const reason = reasonOf(() =>
      importSecret('noise', 'EC_SIGN_P256_SHA256', publicKey, randomBytes(bytes)),
    );

    expect(reason).toBe('WRAPPED_KEY_INVALID');
    expect(objectCount()).toBe(before);
  });

  test('belongs to no public key at the point at infinity', () => {
    const { privateKey } = ecPair('P-256');
    const secret = privateKey.export({ format: 'der', type: 'pkcs8' });

    const reason = reasonOf(() =>
      importSecret('infinity', 'EC_SIGN_P256_SHA256', INFINITY, secret),
    );

    expect(reason).toBe('WRAPPED_KEY_INVALID');
  });

  test('for Ed25519 cannot be imported', () => {
    const pair = generateKeyPairSync('ed25519');

    const reason = reasonOf(() => importPair('edwards', 'EC_SIGN_ED25519', pair, pair));

    expect(reason).toBe('ALGORITHM_UNSUPPORTED');
  });
});
