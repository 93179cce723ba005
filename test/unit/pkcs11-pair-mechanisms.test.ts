import { expect, test } from 'vitest';
import { TWO_HALF_ALGORITHM_NAMES, TWO_HALF_ALGORITHMS } from '../../src/domain/algorithm.ts';
import {
  PAIR_MECHANISMS,
  pairAlgorithmsOf,
  signingMechanism,
} from '../../src/pkcs11/pair-mechanisms.ts';

/** From pkcs11t.h of OASIS PKCS #11, version 3.0. */
const CKM = {
  RSA_PKCS_KEY_PAIR_GEN: 0x0,
  RSA_PKCS: 0x1,
  RSA_PKCS_PSS: 0xd,
  SHA256_RSA_PKCS: 0x40,
  SHA384_RSA_PKCS: 0x41,
  SHA512_RSA_PKCS: 0x42,
  SHA256_RSA_PKCS_PSS: 0x43,
  SHA384_RSA_PKCS_PSS: 0x44,
  SHA512_RSA_PKCS_PSS: 0x45,
  SHA256: 0x250,
  SHA384: 0x260,
  SHA512: 0x270,
  EC_KEY_PAIR_GEN: 0x1040,
  ECDSA: 0x1041,
  EC_EDWARDS_KEY_PAIR_GEN: 0x1055,
  EDDSA: 0x1057,
} as const;
const CKK = { RSA: 0x0, EC: 0x3, EC_EDWARDS: 0x40 } as const;
const CKG_MGF1 = { SHA256: 2, SHA384: 3, SHA512: 4 } as const;

test.each(['SHA256', 'SHA384', 'SHA512'] as const)('RSA stands on the token with %s', (hash) => {
  const [generation, keyType] = [{ type: CKM.RSA_PKCS_KEY_PAIR_GEN }, CKK.RSA];

  expect(PAIR_MECHANISMS[`RSA_SIGN_PKCS1_3072_${hash}`]).toMatchObject({
    signing: { type: CKM.RSA_PKCS },
    allowed: [CKM.RSA_PKCS, CKM[`${hash}_RSA_PKCS`]],
    ...{ generation, keyType, keyBits: 3_072 },
  });
  expect(PAIR_MECHANISMS[`RSA_SIGN_PSS_3072_${hash}`]).toMatchObject({
    signing: { type: CKM.RSA_PKCS_PSS },
    allowed: [CKM.RSA_PKCS_PSS, CKM[`${hash}_RSA_PKCS_PSS`]],
    ...{ generation, keyType, keyBits: 3_072 },
  });
});

test.each([
  ['EC_SIGN_P256_SHA256', CKM.ECDSA, CKM.EC_KEY_PAIR_GEN, CKK.EC],
  ['EC_SIGN_P384_SHA384', CKM.ECDSA, CKM.EC_KEY_PAIR_GEN, CKK.EC],
  ['EC_SIGN_P521_SHA512', CKM.ECDSA, CKM.EC_KEY_PAIR_GEN, CKK.EC],
  ['EC_SIGN_ED25519', CKM.EDDSA, CKM.EC_EDWARDS_KEY_PAIR_GEN, CKK.EC_EDWARDS],
] as const)('%s has one mechanism', (algorithm, signing, generation, keyType) => {
  expect(PAIR_MECHANISMS[algorithm]).toMatchObject({
    signing: { type: signing },
    allowed: [signing],
    generation: { type: generation },
    keyType,
  });
});

test.each([
  ['SHA256', 32],
  ['SHA384', 48],
  ['SHA512', 64],
] as const)('PSS takes a salt as long as %s', (hash, saltLen) => {
  const { mechanism, parameter } = signingMechanism(`RSA_SIGN_PSS_2048_${hash}`);

  expect(mechanism).toBe(CKM.RSA_PKCS_PSS);
  expect(parameter).toMatchObject({ hashAlg: CKM[hash], mgf: CKG_MGF1[hash], saltLen });
});

test.each(TWO_HALF_ALGORITHM_NAMES)(
  '%s is told by its mechanisms and its size or curve',
  (name) => {
    const { allowed } = PAIR_MECHANISMS[name];
    const facts = TWO_HALF_ALGORITHMS[name];
    const shape = 'curve' in facts ? facts.curve : facts.modulusBits;

    const named = pairAlgorithmsOf(allowed.toReversed()).filter((other) => {
      const others = TWO_HALF_ALGORITHMS[other];
      return ('curve' in others ? others.curve : others.modulusBits) === shape;
    });

    expect(named).toEqual([name]);
  },
);

test.each([
  ['no mechanism', []],
  ['one that names no hash', [CKM.RSA_PKCS]],
  ['one with a hash alone', [CKM.SHA256_RSA_PKCS]],
  ['those of two algorithms', [CKM.RSA_PKCS, CKM.SHA256_RSA_PKCS, CKM.SHA384_RSA_PKCS]],
  ['a MAC', [0x251]],
])('%s is no key pair of sigild', (_, allowed) => {
  expect(pairAlgorithmsOf(allowed)).toEqual([]);
});
