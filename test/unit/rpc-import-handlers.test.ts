import { expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import { decodeImportKeyRequest } from '../../src/rpc/import-handlers.ts';
import { v1 } from '../../src/rpc/proto.ts';

const whole = {
  key: 'partner',
  algorithm: 'HMAC_SHA1',
  importKeyId: 'id',
  wrappedKey: Buffer.from('wrapped'),
};

function decode(request: object) {
  const { serialize, deserialize } = v1.ImportKeyRequest;
  return decodeImportKeyRequest(deserialize(serialize(request)));
}

test('a request to import a key keeps every field', () => {
  const request = { ...whole, requestId: 'r1', newVersion: true, keepActive: true };

  expect(decode(request)).toEqual({
    key: 'partner',
    algorithm: 'HMAC_SHA1',
    wrapped: { importKeyId: 'id', bytes: Buffer.from('wrapped'), publicKey: undefined },
    requestId: 'r1',
    newVersion: true,
    keepActive: true,
  });
});

test('a request to import a key pair keeps its public key', () => {
  const publicKeyDer = Buffer.from('public');

  const { wrapped } = decode({ ...whole, algorithm: 'EC_SIGN_P256_SHA256', publicKeyDer });

  expect(wrapped.publicKey).toEqual(publicKeyDer);
});

test('a request to import a key makes a key unless it says otherwise', () => {
  expect(decode(whole)).toMatchObject({
    requestId: undefined,
    newVersion: false,
    keepActive: false,
  });
});

test.each([
  ['key', { key: '' }],
  ['key', { key: 'no spaces' }],
  ['algorithm', { algorithm: 0 }],
  ['algorithm', { algorithm: 9_999 }],
  ['import_key_id', { importKeyId: '' }],
  ['wrapped_key', { wrappedKey: Buffer.alloc(0) }],
  ['wrapped_key', { wrappedKey: Buffer.alloc(4_097) }],
  ['public_key_der', { publicKeyDer: Buffer.alloc(1) }],
  ['public_key_der', { algorithm: 'EC_SIGN_P256_SHA256' }],
  ['public_key_der', { algorithm: 'EC_SIGN_P256_SHA256', publicKeyDer: Buffer.alloc(1_025) }],
  ['request_id', { requestId: 'é' }],
  ['keep_active', { keepActive: true }],
])('a request to import a key with a wrong %s is refused', (field, wrong) => {
  expect(() => decode({ ...whole, ...wrong })).toThrow(
    expect.objectContaining({
      constructor: SigildError,
      reason: 'FIELD_INVALID',
      violations: [expect.objectContaining({ field })],
    }),
  );
});
