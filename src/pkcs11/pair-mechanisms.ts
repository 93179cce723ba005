import pkcs11js, { type Mechanism } from 'pkcs11js';
import {
  type AgreementFacts,
  type Curve,
  DIGEST_BYTES,
  type Hash,
  PAIR_ALGORITHMS,
  type PairAlgorithm,
  type PairFacts,
  TWO_HALF_ALGORITHM_NAMES,
  TWO_HALF_ALGORITHMS,
  type TwoHalfAlgorithm,
} from '../domain/algorithm.ts';

export interface NamedMechanism {
  readonly type: number;
  readonly name: string;
}

export interface PairMechanism {
  /** Signs digests; with Ed25519 messages. Of agreement it derives the key that makes MACs. */
  readonly signing: NamedMechanism;
  /**
   * What CKA_ALLOWED_MECHANISMS of the private key holds. Of RSA the second mechanism, which sigild
   * does not use, names the hash: the token has no other place for it.
   */
  readonly allowed: readonly number[];
  readonly generation: NamedMechanism;
  readonly keyType: number;
  /** The modulus or the field, as the token's mechanisms give their sizes. */
  readonly keyBits: number;
}

// pkcs11js 2.1.7 has no names for those of PKCS#11 3.0.
const CKK_EC_EDWARDS = 0x40;
const CKM_EDDSA = { type: 0x1057, name: 'CKM_EDDSA' };
const CKM_EC_EDWARDS_KEY_PAIR_GEN = { type: 0x1055, name: 'CKM_EC_EDWARDS_KEY_PAIR_GEN' };

const CKM_RSA_PKCS_KEY_PAIR_GEN = mechanism('CKM_RSA_PKCS_KEY_PAIR_GEN');
const CKM_EC_KEY_PAIR_GEN = mechanism('CKM_EC_KEY_PAIR_GEN');

const FIELD_BITS = { 'P-256': 256, 'P-384': 384, 'P-521': 521, Ed25519: 256 } as const;

const PKCS1_WITH_HASH = {
  sha256: pkcs11js.CKM_SHA256_RSA_PKCS,
  sha384: pkcs11js.CKM_SHA384_RSA_PKCS,
  sha512: pkcs11js.CKM_SHA512_RSA_PKCS,
} as const satisfies Record<Hash, number>;

const PSS_WITH_HASH = {
  sha256: pkcs11js.CKM_SHA256_RSA_PKCS_PSS,
  sha384: pkcs11js.CKM_SHA384_RSA_PKCS_PSS,
  sha512: pkcs11js.CKM_SHA512_RSA_PKCS_PSS,
} as const satisfies Record<Hash, number>;

const PSS_PARAMETERS = {
  sha256: { hashAlg: pkcs11js.CKM_SHA256, mgf: pkcs11js.CKG_MGF1_SHA256 },
  sha384: { hashAlg: pkcs11js.CKM_SHA384, mgf: pkcs11js.CKG_MGF1_SHA384 },
  sha512: { hashAlg: pkcs11js.CKM_SHA512, mgf: pkcs11js.CKG_MGF1_SHA512 },
} as const satisfies Record<Hash, { readonly hashAlg: number; readonly mgf: number }>;

/** CKA_EC_PARAMS of new keys: the curve's object identifier. */
export const EC_PARAMS: Readonly<Record<Curve, Buffer>> = {
  'P-256': Buffer.from('06082a8648ce3d030107', 'hex'),
  'P-384': Buffer.from('06052b81040022', 'hex'),
  'P-521': Buffer.from('06052b81040023', 'hex'),
  Ed25519: Buffer.from('06032b6570', 'hex'),
};

/** The mechanisms of each algorithm whose keys have two halves. */
export const PAIR_MECHANISMS = Object.fromEntries(
  TWO_HALF_ALGORITHM_NAMES.map((name) => [name, mechanismsOf(TWO_HALF_ALGORITHMS[name])]),
) as Readonly<Record<TwoHalfAlgorithm, PairMechanism>>;

/** The algorithms of key pairs that stand on the token as those mechanisms, in any order. */
export function pairAlgorithmsOf(allowed: readonly number[]): readonly TwoHalfAlgorithm[] {
  return TWO_HALF_ALGORITHM_NAMES.filter((algorithm) => {
    const own = PAIR_MECHANISMS[algorithm].allowed;
    return own.length === allowed.length && own.every((type) => allowed.includes(type));
  });
}

/** What C_SignInit and C_VerifyInit are given. */
export function signingMechanism(algorithm: PairAlgorithm): Mechanism {
  const { scheme, hash } = PAIR_ALGORITHMS[algorithm];
  const { type } = PAIR_MECHANISMS[algorithm].signing;
  if (scheme !== 'RSA_PSS') return { mechanism: type };
  const parameter = {
    ...PSS_PARAMETERS[hash],
    type: pkcs11js.CK_PARAMS_RSA_PSS,
    saltLen: DIGEST_BYTES[hash],
  };
  return { mechanism: type, parameter };
}

function mechanismsOf(facts: PairFacts | AgreementFacts): PairMechanism {
  switch (facts.scheme) {
    case 'RSA_PKCS1':
      return rsa(mechanism('CKM_RSA_PKCS'), PKCS1_WITH_HASH[facts.hash], facts.modulusBits);
    case 'RSA_PSS':
      return rsa(mechanism('CKM_RSA_PKCS_PSS'), PSS_WITH_HASH[facts.hash], facts.modulusBits);
    case 'ECDSA':
      return {
        signing: mechanism('CKM_ECDSA'),
        allowed: [pkcs11js.CKM_ECDSA],
        generation: CKM_EC_KEY_PAIR_GEN,
        keyType: pkcs11js.CKK_EC,
        keyBits: FIELD_BITS[facts.curve],
      };
    case 'ECDH':
      return {
        signing: mechanism('CKM_ECDH1_DERIVE'),
        allowed: [pkcs11js.CKM_ECDH1_DERIVE],
        generation: CKM_EC_KEY_PAIR_GEN,
        keyType: pkcs11js.CKK_EC,
        keyBits: FIELD_BITS[facts.curve],
      };
    case 'EDDSA':
      return {
        signing: CKM_EDDSA,
        allowed: [CKM_EDDSA.type],
        generation: CKM_EC_EDWARDS_KEY_PAIR_GEN,
        keyType: CKK_EC_EDWARDS,
        keyBits: FIELD_BITS[facts.curve],
      };
  }
}

function rsa(signing: NamedMechanism, withHash: number, modulusBits: number): PairMechanism {
  return {
    signing,
    allowed: [signing.type, withHash],
    generation: CKM_RSA_PKCS_KEY_PAIR_GEN,
    keyType: pkcs11js.CKK_RSA,
    keyBits: modulusBits,
  };
}

function mechanism(name: Extract<keyof typeof pkcs11js, `CKM_${string}`>): NamedMechanism {
  return { type: pkcs11js[name], name };
}
