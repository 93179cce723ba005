import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { type Curve, TWO_HALF_ALGORITHMS, type TwoHalfAlgorithm } from '../domain/algorithm.ts';
import type { Attributes, Template } from './attributes.ts';
import { EC_PARAMS } from './pair-mechanisms.ts';

/** Tells that coordinates follow as they are. */
const UNCOMPRESSED = 0x04;
const OCTET_STRING = 0x04;
/** Before a length of one byte that has its highest bit set. */
const LONG_LENGTH = 0x81;

const COORDINATE_BYTES = { 'P-256': 32, 'P-384': 48, 'P-521': 66, Ed25519: 32 } as const;

/** As node:crypto names the curves. */
const CURVES = new Map<string | undefined, Curve>([
  ['prime256v1', 'P-256'],
  ['secp384r1', 'P-384'],
  ['secp521r1', 'P-521'],
]);

/** PKCS#11 3.0 also knows the curve by its name, as a PrintableString. */
const ED25519_PARAMS = [EC_PARAMS.Ed25519, Buffer.from('\x13\x0cedwards25519', 'latin1')];

/** What the public key of a token is made of, by the type of the key. */
export const RSA_TYPES = [pkcs11js.CKA_MODULUS, pkcs11js.CKA_PUBLIC_EXPONENT];
export const EC_TYPES = [pkcs11js.CKA_EC_PARAMS, pkcs11js.CKA_EC_POINT];

/** @returns undefined for anything but a good RSA key */
export function rsaPublicKey(attributes: Attributes): KeyObject | undefined {
  const n = attributes.bytes(pkcs11js.CKA_MODULUS);
  const e = attributes.bytes(pkcs11js.CKA_PUBLIC_EXPONENT);
  return n && e && keyOf({ kty: 'RSA', n: base64url(n), e: base64url(e) });
}

/** @returns undefined for another curve, and for what is no point of its curve */
export function ecPublicKey(attributes: Attributes): KeyObject | undefined {
  const params = attributes.bytes(pkcs11js.CKA_EC_PARAMS);
  const point = attributes.bytes(pkcs11js.CKA_EC_POINT);
  if (!params || !point) return undefined;
  if (ED25519_PARAMS.some((known) => known.equals(params))) return edwardsKey(point);
  const crv = (['P-256', 'P-384', 'P-521'] as const).find((c) => EC_PARAMS[c].equals(params));
  return crv && weierstrassKey(crv, point);
}

/** Whether a public key can be one of the algorithm's. */
export function suitsPair(algorithm: TwoHalfAlgorithm, key: KeyObject): boolean {
  const facts = TWO_HALF_ALGORITHMS[algorithm];
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  switch (facts.scheme) {
    case 'RSA_PKCS1':
    case 'RSA_PSS':
      return key.asymmetricKeyType === 'rsa' && modulusLength === facts.modulusBits;
    case 'ECDSA':
    case 'ECDH':
      return key.asymmetricKeyType === 'ec' && CURVES.get(namedCurve) === facts.curve;
    case 'EDDSA':
      return key.asymmetricKeyType === 'ed25519';
  }
}

/** The attributes of the token that a public key is made of: what is read from them is that key again. */
export function publicAttributes(key: KeyObject): Template {
  const { kty, n = '', e = '', crv, x = '', y = '' } = key.export({ format: 'jwk' });
  const [first, second] = kty === 'RSA' ? [n, e] : [x, y];
  const numbers = [first, second].map((number) => Buffer.from(number, 'base64url'));
  if (kty === 'RSA')
    return new Map(RSA_TYPES.map((type, index) => [type, numbers[index] as Buffer]));
  const point = Buffer.concat([Buffer.from([UNCOMPRESSED]), ...numbers]);
  const length = point.byteLength < 0x80 ? [point.byteLength] : [LONG_LENGTH, point.byteLength];
  return new Map([
    [pkcs11js.CKA_EC_PARAMS, EC_PARAMS[crv as Curve]],
    [pkcs11js.CKA_EC_POINT, Buffer.concat([Buffer.from([OCTET_STRING, ...length]), point])],
  ]);
}

/** The uncompressed point of an EC key. */
export function pointOf(key: KeyObject): Buffer {
  const { x = '', y = '' } = key.export({ format: 'jwk' });
  const coordinates = [x, y].map((coordinate) => Buffer.from(coordinate, 'base64url'));
  return Buffer.concat([Buffer.from([UNCOMPRESSED]), ...coordinates]);
}

/** Its SubjectPublicKeyInfo. */
export function spkiOf(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' });
}

function weierstrassKey(crv: Exclude<Curve, 'Ed25519'>, value: Buffer): KeyObject | undefined {
  const bytes = COORDINATE_BYTES[crv];
  const point = unwrapped(value, 1 + 2 * bytes);
  if (point?.[0] !== UNCOMPRESSED) return undefined;
  const [x, y] = [point.subarray(1, 1 + bytes), point.subarray(1 + bytes)];
  // node:crypto refuses a point that is not on the curve.
  return keyOf({ kty: 'EC', crv, x: x.toString('base64url'), y: y.toString('base64url') });
}

function edwardsKey(value: Buffer): KeyObject | undefined {
  const x = unwrapped(value, COORDINATE_BYTES.Ed25519);
  return x && keyOf({ kty: 'OKP', crv: 'Ed25519', x: x.toString('base64url') });
}

/** CKA_EC_POINT is an OCTET STRING in DER; some tokens give what would be in it. */
function unwrapped(value: Buffer, bytes: number): Buffer | undefined {
  const header = bytes < 0x80 ? [OCTET_STRING, bytes] : [OCTET_STRING, LONG_LENGTH, bytes];
  const isWrapped = value.subarray(0, header.length).equals(Buffer.from(header));
  const point = isWrapped && value.byteLength > bytes ? value.subarray(header.length) : value;
  return point.byteLength === bytes ? point : undefined;
}

/** Without zeros in front, which a number has none of in a JWK. */
function base64url(number: Buffer): string {
  const first = number.findIndex((byte) => byte !== 0);
  return number.subarray(Math.max(first, 0)).toString('base64url');
}

function keyOf(key: JsonWebKey): KeyObject | undefined {
  try {
    return createPublicKey({ format: 'jwk', key });
  } catch {
    // What it says of a bad key differs from version to version.
    return undefined;
  }
}
