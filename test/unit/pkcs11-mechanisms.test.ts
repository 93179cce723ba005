import { expect, test } from 'vitest';
import { MAC_ALGORITHM_NAMES } from '../../src/domain/algorithm.ts';
import { algorithmsOf, MECHANISMS, suits } from '../../src/pkcs11/mechanisms.ts';

/** From pkcs11t.h of OASIS PKCS #11, version 3.0. */
const CKM = {
  CKM_SHA_1_HMAC: 0x221,
  CKM_SHA224_HMAC: 0x256,
  CKM_SHA256_HMAC: 0x251,
  CKM_SHA384_HMAC: 0x261,
  CKM_SHA512_HMAC: 0x271,
  CKM_SHA3_256_HMAC: 0x2b1,
  CKM_SHA3_384_HMAC: 0x2c1,
  CKM_SHA3_512_HMAC: 0x2d1,
  CKM_AES_CMAC: 0x108a,
  CKM_GENERIC_SECRET_KEY_GEN: 0x350,
  CKM_AES_KEY_GEN: 0x1080,
} as const;
const CKK = {
  GENERIC_SECRET: 0x10,
  AES: 0x1f,
  SHA_1_HMAC: 0x28,
  SHA256_HMAC: 0x2b,
  SHA384_HMAC: 0x2c,
  SHA512_HMAC: 0x2d,
  SHA224_HMAC: 0x2e,
  SHA3_256_HMAC: 0x34,
  SHA3_384_HMAC: 0x35,
  SHA3_512_HMAC: 0x36,
} as const;

test.each([
  ['HMAC_SHA1', 'CKM_SHA_1_HMAC', CKK.SHA_1_HMAC],
  ['HMAC_SHA224', 'CKM_SHA224_HMAC', CKK.SHA224_HMAC],
  ['HMAC_SHA256', 'CKM_SHA256_HMAC', CKK.SHA256_HMAC],
  ['HMAC_SHA384', 'CKM_SHA384_HMAC', CKK.SHA384_HMAC],
  ['HMAC_SHA512', 'CKM_SHA512_HMAC', CKK.SHA512_HMAC],
  ['HMAC_SHA3_256', 'CKM_SHA3_256_HMAC', CKK.SHA3_256_HMAC],
  ['HMAC_SHA3_384', 'CKM_SHA3_384_HMAC', CKK.SHA3_384_HMAC],
  ['HMAC_SHA3_512', 'CKM_SHA3_512_HMAC', CKK.SHA3_512_HMAC],
] as const)("%s is the standard's %s, with generic secrets", (algorithm, name, keyType) => {
  expect(MECHANISMS[algorithm]).toMatchObject({
    type: CKM[name],
    name,
    generation: { type: CKM.CKM_GENERIC_SECRET_KEY_GEN, name: 'CKM_GENERIC_SECRET_KEY_GEN' },
    keyTypes: [CKK.GENERIC_SECRET, keyType],
  });
});

test.each(['AES_128_CMAC', 'AES_256_CMAC'] as const)(
  "%s is the standard's CKM_AES_CMAC, with AES keys",
  (algorithm) => {
    expect(MECHANISMS[algorithm]).toMatchObject({
      type: CKM.CKM_AES_CMAC,
      name: 'CKM_AES_CMAC',
      generation: { type: CKM.CKM_AES_KEY_GEN, name: 'CKM_AES_KEY_GEN' },
      keyTypes: [CKK.AES],
    });
  },
);

test('a mechanism belongs to the algorithms that use it', () => {
  expect(algorithmsOf(CKM.CKM_SHA3_384_HMAC)).toEqual(['HMAC_SHA3_384']);
  expect(algorithmsOf(CKM.CKM_AES_CMAC)).toEqual(['AES_128_CMAC', 'AES_256_CMAC']);
  expect(algorithmsOf(0x1082)).toEqual([]);
});

test.each([
  ['an AES key of 16 bytes', CKK.AES, 16, ['AES_128_CMAC']],
  ['an AES key of 24 bytes', CKK.AES, 24, []],
  ['an AES key of 32 bytes', CKK.AES, 32, ['AES_256_CMAC']],
  ['an AES key of unknown length', CKK.AES, undefined, []],
  ['an HMAC key of SHA-256 of any length', CKK.SHA256_HMAC, 100, ['HMAC_SHA256']],
  ['a key of unknown type', undefined, 32, []],
  [
    'a generic secret',
    CKK.GENERIC_SECRET,
    16,
    MAC_ALGORITHM_NAMES.filter((name) => name.startsWith('HMAC')),
  ],
])('%s suits no other algorithms', (_, keyType, valueBytes, expected) => {
  const suited = MAC_ALGORITHM_NAMES.filter((algorithm) =>
    suits(algorithm, { keyType, valueBytes }),
  );

  expect(suited).toEqual(expected);
});
