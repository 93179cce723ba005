import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { describe, expect, test } from 'vitest';
import { PAIR_ALGORITHM_NAMES } from '../../src/domain/algorithm.ts';
import { Attributes } from '../../src/pkcs11/attributes.ts';
import { EC_PARAMS } from '../../src/pkcs11/pair-mechanisms.ts';
import { ecPublicKey, rsaPublicKey, spkiOf, suitsPair } from '../../src/pkcs11/public-key.ts';

const CURVES = [
  ['P-256', 'EC_SIGN_P256_SHA256'],
  ['P-384', 'EC_SIGN_P384_SHA384'],
  ['P-521', 'EC_SIGN_P521_SHA512'],
  ['Ed25519', 'EC_SIGN_ED25519'],
] as const;

type Curve = (typeof CURVES)[number][0];

function generate(curve: Curve): KeyObject {
  if (curve === 'Ed25519') return generateKeyPairSync('ed25519').publicKey;
  return generateKeyPairSync('ec', { namedCurve: curve }).publicKey;
}

/** The point as PKCS#11 defines it, without the OCTET STRING around it. */
function pointOf(key: KeyObject): Buffer {
  const { x = '', y } = key.export({ format: 'jwk' });
  const coordinates = [x, ...(y === undefined ? [] : [y])].map((c) => Buffer.from(c, 'base64url'));
  return Buffer.concat([Buffer.from(y === undefined ? [] : [4]), ...coordinates]);
}

function octetString(content: Buffer): Buffer {
  const { length } = content;
  return Buffer.concat([Buffer.from(length < 128 ? [4, length] : [4, 0x81, length]), content]);
}

function read(params: Buffer | undefined, point: Buffer | undefined): KeyObject | undefined {
  const values = new Map<number, Buffer>();
  if (params) values.set(pkcs11js.CKA_EC_PARAMS, params);
  if (point) values.set(pkcs11js.CKA_EC_POINT, point);
  return ecPublicKey(new Attributes(values));
}

function changed(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

describe.each(CURVES)('a point of %s', (curve, algorithm) => {
  const key = generate(curve);
  const point = pointOf(key);
  const params = EC_PARAMS[curve];

  test.each([
    ['in an OCTET STRING', octetString(point)],
    ['as it is', point],
  ])('is read %s', (_, value) => {
    const found = read(params, value);

    expect(found && spkiOf(found).equals(spkiOf(key))).toBe(true);
    expect(PAIR_ALGORITHM_NAMES.filter((name) => suitsPair(name, key))).toEqual([algorithm]);
  });

  test.each([
    ['of one byte less', octetString(point.subarray(1))],
    ['of one byte more', octetString(Buffer.concat([point, Buffer.alloc(1)]))],
    ['of no bytes', Buffer.alloc(0)],
    ['that is absent', undefined],
  ])('is not read %s', (_, value) => {
    expect(read(params, value)).toBeUndefined();
  });
});

describe.each(['P-256', 'P-384', 'P-521'] as const)('on %s', (curve) => {
  const point = pointOf(generate(curve));

  test.each([
    ['a point that is not on the curve', changed(point, point.length - 1)],
    ['a point in the compressed form', changed(point, 0)],
    ['the point at infinity', Buffer.concat([Buffer.from([4]), Buffer.alloc(point.length - 1)])],
  ])('%s is no key', (_, wrong) => {
    expect(read(EC_PARAMS[curve], octetString(wrong))).toBeUndefined();
  });
});

test('Ed25519 is known by its name, too', () => {
  const key = generate('Ed25519');
  const name = Buffer.from('\x13\x0cedwards25519', 'latin1');

  const found = read(name, octetString(pointOf(key)));

  expect(found && spkiOf(found).equals(spkiOf(key))).toBe(true);
});

test('a point of another curve is no key', () => {
  const secp256k1 = Buffer.from('06052b8104000a', 'hex');
  const point = octetString(pointOf(generate('P-256')));

  expect(read(secp256k1, point)).toBeUndefined();
  expect(read(EC_PARAMS['P-384'], point)).toBeUndefined();
  expect(read(undefined, point)).toBeUndefined();
});

describe('an RSA key', () => {
  const key = generateKeyPairSync('rsa', { modulusLength: 2_048 }).publicKey;
  const { n = '', e = '' } = key.export({ format: 'jwk' });
  const modulus = Buffer.from(n, 'base64url');
  const exponent = Buffer.from(e, 'base64url');
  const readRsa = (parts: readonly (readonly [number, Buffer])[]) =>
    rsaPublicKey(new Attributes(new Map(parts)));

  test.each([
    ['as numbers', modulus],
    ['as numbers with a zero in front', Buffer.concat([Buffer.alloc(1), modulus])],
  ])('is read %s', (_, value) => {
    const found = readRsa([
      [pkcs11js.CKA_MODULUS, value],
      [pkcs11js.CKA_PUBLIC_EXPONENT, exponent],
    ]);

    expect(found && spkiOf(found).equals(spkiOf(key))).toBe(true);
  });

  test('suits the algorithms of its size', () => {
    const suited = PAIR_ALGORITHM_NAMES.filter((name) => suitsPair(name, key));

    expect(suited).toHaveLength(6);
    expect(suited.every((name) => name.includes('_2048_'))).toBe(true);
  });

  test('needs both of its numbers', () => {
    expect(readRsa([[pkcs11js.CKA_MODULUS, modulus]])).toBeUndefined();
    expect(readRsa([])).toBeUndefined();
  });
});
