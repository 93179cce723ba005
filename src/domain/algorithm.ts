/** What sigild knows of an algorithm that makes MACs. */
interface MacFacts {
  /** Length of the MAC in bytes: of HMAC the hash's output length, of CMAC the cipher's block. */
  readonly macBytes: number;
  /**
   * Length of a new key in bytes: of HMAC the hash's output length, the least that RFC 2104 section 3
   * advises, of CMAC the cipher's key.
   */
  readonly keyBytes: number;
}

/** A hash, as node:crypto names it. */
export type Hash = 'sha256' | 'sha384' | 'sha512';

export type Curve = 'P-256' | 'P-384' | 'P-521' | 'Ed25519';

/** What sigild knows of an algorithm of key pairs. */
export type PairFacts = RsaFacts | EcdsaFacts | EddsaFacts;

interface RsaFacts {
  readonly scheme: 'RSA_PKCS1' | 'RSA_PSS';
  readonly modulusBits: number;
  readonly hash: Hash;
  /** Of a signature as the token makes it, in bytes; so for all schemes. */
  readonly signatureBytes: number;
}

interface EcdsaFacts {
  readonly scheme: 'ECDSA';
  readonly curve: Exclude<Curve, 'Ed25519'>;
  readonly hash: Hash;
  readonly signatureBytes: number;
}

interface EddsaFacts {
  readonly scheme: 'EDDSA';
  readonly curve: 'Ed25519';
  /** It signs the message itself. */
  readonly hash: undefined;
  readonly signatureBytes: number;
}

/** What sigild knows of an algorithm that makes MACs with a key agreed upon with a peer. */
export interface AgreementFacts {
  readonly scheme: 'ECDH';
  readonly curve: Exclude<Curve, 'Ed25519'>;
  /** What the agreed secret is the key of. */
  readonly mac: MacAlgorithm;
  readonly hash: Hash;
  /** Length of the agreed secret in bytes: that of a coordinate. */
  readonly secretBytes: number;
  readonly macBytes: number;
}

/** The algorithms that make MACs, by their names in the API. */
export const MAC_ALGORITHMS = {
  HMAC_SHA1: { macBytes: 20, keyBytes: 20 },
  HMAC_SHA224: { macBytes: 28, keyBytes: 28 },
  HMAC_SHA256: { macBytes: 32, keyBytes: 32 },
  HMAC_SHA384: { macBytes: 48, keyBytes: 48 },
  HMAC_SHA512: { macBytes: 64, keyBytes: 64 },
  HMAC_SHA3_256: { macBytes: 32, keyBytes: 32 },
  HMAC_SHA3_384: { macBytes: 48, keyBytes: 48 },
  HMAC_SHA3_512: { macBytes: 64, keyBytes: 64 },
  AES_128_CMAC: { macBytes: 16, keyBytes: 16 },
  AES_256_CMAC: { macBytes: 16, keyBytes: 32 },
} as const satisfies Record<string, MacFacts>;

/** The algorithms of key pairs, by their names in the API. */
export const PAIR_ALGORITHMS = {
  RSA_SIGN_PKCS1_2048_SHA256: rsa('RSA_PKCS1', 2_048, 'sha256'),
  RSA_SIGN_PKCS1_2048_SHA384: rsa('RSA_PKCS1', 2_048, 'sha384'),
  RSA_SIGN_PKCS1_2048_SHA512: rsa('RSA_PKCS1', 2_048, 'sha512'),
  RSA_SIGN_PKCS1_3072_SHA256: rsa('RSA_PKCS1', 3_072, 'sha256'),
  RSA_SIGN_PKCS1_3072_SHA384: rsa('RSA_PKCS1', 3_072, 'sha384'),
  RSA_SIGN_PKCS1_3072_SHA512: rsa('RSA_PKCS1', 3_072, 'sha512'),
  RSA_SIGN_PKCS1_4096_SHA256: rsa('RSA_PKCS1', 4_096, 'sha256'),
  RSA_SIGN_PKCS1_4096_SHA384: rsa('RSA_PKCS1', 4_096, 'sha384'),
  RSA_SIGN_PKCS1_4096_SHA512: rsa('RSA_PKCS1', 4_096, 'sha512'),
  RSA_SIGN_PSS_2048_SHA256: rsa('RSA_PSS', 2_048, 'sha256'),
  RSA_SIGN_PSS_2048_SHA384: rsa('RSA_PSS', 2_048, 'sha384'),
  RSA_SIGN_PSS_2048_SHA512: rsa('RSA_PSS', 2_048, 'sha512'),
  RSA_SIGN_PSS_3072_SHA256: rsa('RSA_PSS', 3_072, 'sha256'),
  RSA_SIGN_PSS_3072_SHA384: rsa('RSA_PSS', 3_072, 'sha384'),
  RSA_SIGN_PSS_3072_SHA512: rsa('RSA_PSS', 3_072, 'sha512'),
  RSA_SIGN_PSS_4096_SHA256: rsa('RSA_PSS', 4_096, 'sha256'),
  RSA_SIGN_PSS_4096_SHA384: rsa('RSA_PSS', 4_096, 'sha384'),
  RSA_SIGN_PSS_4096_SHA512: rsa('RSA_PSS', 4_096, 'sha512'),
  EC_SIGN_P256_SHA256: { scheme: 'ECDSA', curve: 'P-256', hash: 'sha256', signatureBytes: 64 },
  EC_SIGN_P384_SHA384: { scheme: 'ECDSA', curve: 'P-384', hash: 'sha384', signatureBytes: 96 },
  EC_SIGN_P521_SHA512: { scheme: 'ECDSA', curve: 'P-521', hash: 'sha512', signatureBytes: 132 },
  EC_SIGN_ED25519: { scheme: 'EDDSA', curve: 'Ed25519', hash: undefined, signatureBytes: 64 },
} as const satisfies Record<string, PairFacts>;

/** The algorithms of key agreement, by their names in the API. */
export const AGREEMENT_ALGORITHMS = {
  EC_AGREE_P256_HMAC_SHA256: agreement('P-256', 'HMAC_SHA256', 'sha256', 32),
  EC_AGREE_P384_HMAC_SHA384: agreement('P-384', 'HMAC_SHA384', 'sha384', 48),
  EC_AGREE_P521_HMAC_SHA512: agreement('P-521', 'HMAC_SHA512', 'sha512', 66),
} as const satisfies Record<string, AgreementFacts>;

/** The algorithms whose keys have a private and a public half. */
export const TWO_HALF_ALGORITHMS = { ...PAIR_ALGORITHMS, ...AGREEMENT_ALGORITHMS } as const;

/** Every algorithm. */
export const ALGORITHMS = { ...MAC_ALGORITHMS, ...TWO_HALF_ALGORITHMS } as const;

export type MacAlgorithm = keyof typeof MAC_ALGORITHMS;
/** Of a key pair that signs. */
export type PairAlgorithm = keyof typeof PAIR_ALGORITHMS;
export type AgreementAlgorithm = keyof typeof AGREEMENT_ALGORITHMS;
export type TwoHalfAlgorithm = PairAlgorithm | AgreementAlgorithm;
export type Algorithm = MacAlgorithm | TwoHalfAlgorithm;

export const MAC_ALGORITHM_NAMES = Object.keys(MAC_ALGORITHMS) as readonly MacAlgorithm[];
export const PAIR_ALGORITHM_NAMES = Object.keys(PAIR_ALGORITHMS) as readonly PairAlgorithm[];
export const AGREEMENT_ALGORITHM_NAMES = Object.keys(
  AGREEMENT_ALGORITHMS,
) as readonly AgreementAlgorithm[];
export const TWO_HALF_ALGORITHM_NAMES: readonly TwoHalfAlgorithm[] = [
  ...PAIR_ALGORITHM_NAMES,
  ...AGREEMENT_ALGORITHM_NAMES,
];
export const ALGORITHM_NAMES: readonly Algorithm[] = [
  ...MAC_ALGORITHM_NAMES,
  ...TWO_HALF_ALGORITHM_NAMES,
];

export const DIGEST_BYTES = { sha256: 32, sha384: 48, sha512: 64 } as const satisfies Record<
  Hash,
  number
>;

export function isAlgorithm(name: string): name is Algorithm {
  return Object.hasOwn(ALGORITHMS, name);
}

export function isPairAlgorithm(algorithm: Algorithm): algorithm is PairAlgorithm {
  return Object.hasOwn(PAIR_ALGORITHMS, algorithm);
}

export function isAgreementAlgorithm(algorithm: Algorithm): algorithm is AgreementAlgorithm {
  return Object.hasOwn(AGREEMENT_ALGORITHMS, algorithm);
}

/** Whether its keys have a private and a public half. */
export function hasTwoHalves(algorithm: Algorithm): algorithm is TwoHalfAlgorithm {
  return Object.hasOwn(TWO_HALF_ALGORITHMS, algorithm);
}

/** Length in bytes of what the token makes: the MAC, or the signature with r and s side by side. */
export function signatureBytes(algorithm: Algorithm): number {
  return SIGNATURE_BYTES[algorithm];
}

/** @returns undefined for an algorithm that takes no digest in place of the message */
export function hashOf(algorithm: Algorithm): Hash | undefined {
  return isPairAlgorithm(algorithm) ? PAIR_ALGORITHMS[algorithm].hash : undefined;
}

const SIGNATURE_BYTES = Object.fromEntries(
  Object.entries<MacFacts | PairFacts | AgreementFacts>(ALGORITHMS).map(([name, facts]) => [
    name,
    'macBytes' in facts ? facts.macBytes : facts.signatureBytes,
  ]),
) as Record<Algorithm, number>;

function rsa(scheme: RsaFacts['scheme'], modulusBits: number, hash: Hash): RsaFacts {
  return { scheme, modulusBits, hash, signatureBytes: modulusBits / 8 };
}

function agreement(
  curve: AgreementFacts['curve'],
  mac: MacAlgorithm,
  hash: Hash,
  secretBytes: number,
): AgreementFacts {
  return { scheme: 'ECDH', curve, mac, hash, secretBytes, macBytes: MAC_ALGORITHMS[mac].macBytes };
}
