import {
  type Algorithm,
  isAgreementAlgorithm,
  isPairAlgorithm,
  type MacAlgorithm,
  PAIR_ALGORITHMS,
} from './algorithm.ts';

/** The ways to wrap a secret for the token, by their names in the API. */
export const WRAPPINGS = {
  RSA_OAEP_SHA1: { oaepHash: 'sha1', aesKeyWrap: false },
  RSA_OAEP_SHA256: { oaepHash: 'sha256', aesKeyWrap: false },
  RSA_OAEP_SHA1_AES_256_KWP: { oaepHash: 'sha1', aesKeyWrap: true },
  RSA_OAEP_SHA256_AES_256_KWP: { oaepHash: 'sha256', aesKeyWrap: true },
} as const satisfies Record<string, WrappingFacts>;

export interface WrappingFacts {
  /** Of OAEP and of its mask generation, as node:crypto calls it. */
  readonly oaepHash: 'sha1' | 'sha256';
  /** Whether the secret is wrapped with an AES key, which OAEP wraps then, instead of by OAEP itself. */
  readonly aesKeyWrap: boolean;
}

export type Wrapping = keyof typeof WRAPPINGS;

export function isWrapping(name: string): name is Wrapping {
  return Object.hasOwn(WRAPPINGS, name);
}

/** How long an import key serves. */
export const IMPORT_KEY_LIFE_MS = 600_000;

/** How many there are at the most; a further one takes the place of the oldest. */
export const MAX_IMPORT_KEYS = 32;

/** The public half of a key pair in the token, to wrap a secret with. */
export interface ImportKey {
  /** 32 hexadecimal digits. */
  readonly id: string;
  /** A DER-encoded SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  readonly wrapping: Wrapping;
}

/** A key's value as it comes to the token: wrapped with an import key. */
export interface WrappedKey {
  readonly importKeyId: string;
  readonly bytes: Uint8Array;
  /** Of a private key the public half, a DER-encoded SubjectPublicKeyInfo. */
  readonly publicKey?: Uint8Array | undefined;
}

/** Which secrets an algorithm takes. */
export interface SecretFacts {
  /** The lengths of the algorithm's keys on the token; the greatest is a multiple of 8. */
  readonly minBytes: number;
  readonly maxBytes: number;
  /**
   * Of HMAC the hash, as node:crypto calls it: a longer secret is hashed, a shorter one filled up with
   * zero bytes, which changes no MAC. Undefined: the length has to be right.
   */
  readonly hash: string | undefined;
}

/** @param minBytes the hash's output length @param maxBytes its block */
function hmac(hash: string, minBytes: number, maxBytes: number): SecretFacts {
  return { hash, minBytes, maxBytes };
}

function aes(bytes: number): SecretFacts {
  return { hash: undefined, minBytes: bytes, maxBytes: bytes };
}

const SECRETS: Readonly<Record<MacAlgorithm, SecretFacts>> = {
  HMAC_SHA1: hmac('sha1', 20, 64),
  HMAC_SHA224: hmac('sha224', 28, 64),
  HMAC_SHA256: hmac('sha256', 32, 64),
  HMAC_SHA384: hmac('sha384', 48, 128),
  HMAC_SHA512: hmac('sha512', 64, 128),
  HMAC_SHA3_256: hmac('sha3-256', 32, 136),
  HMAC_SHA3_384: hmac('sha3-384', 48, 104),
  HMAC_SHA3_512: hmac('sha3-512', 64, 72),
  AES_128_CMAC: aes(16),
  AES_256_CMAC: aes(32),
};

/** Private keys as PKCS #8 in DER: one of RSA with 4096 bits has some 2,400 bytes. */
const PRIVATE_KEYS: SecretFacts = { hash: undefined, minBytes: 1, maxBytes: 3_072 };

/** @returns undefined for an algorithm whose keys cannot be imported: Ed25519 and those of agreement */
export function secretsOf(algorithm: Algorithm): SecretFacts | undefined {
  if (isAgreementAlgorithm(algorithm)) return undefined;
  if (!isPairAlgorithm(algorithm)) return SECRETS[algorithm];
  return PAIR_ALGORITHMS[algorithm].scheme === 'EDDSA' ? undefined : PRIVATE_KEYS;
}

/** In words for whoever has to bring such a secret. */
export function lengthText({ minBytes, maxBytes }: SecretFacts): string {
  return minBytes === maxBytes ? `${minBytes} bytes` : `${minBytes} to ${maxBytes} bytes`;
}
