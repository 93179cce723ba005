import { createPublicKey, type JsonWebKey } from 'node:crypto';
import {
  type Algorithm,
  hasTwoHalves,
  isPairAlgorithm,
  PAIR_ALGORITHMS,
  type PairAlgorithm,
} from '../domain/algorithm.ts';
import type { KeyVersion } from '../domain/key.ts';

/** A version's public key in the forms that are in use. */
export interface PublicKey {
  readonly version: KeyVersion;
  /** SubjectPublicKeyInfo, as is the PEM. */
  readonly der: Uint8Array;
  readonly pem: string;
  readonly jwk: JsonWebKey;
}

/** How JWS names hashes: by the number in their names. */
const HASH_NUMBERS = { sha256: '256', sha384: '384', sha512: '512' } as const;

/** @param spki its SubjectPublicKeyInfo */
export function publicKeyOf(version: KeyVersion, spki: Uint8Array): PublicKey {
  const { algorithm, id } = version;
  if (!hasTwoHalves(algorithm)) throw new Error(`${algorithm} has no public keys`);
  const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  return {
    version,
    der: spki,
    pem: key.export({ format: 'pem', type: 'spki' }).toString(),
    jwk: { ...key.export({ format: 'jwk' }), kid: id, ...jwsUse(algorithm) },
  };
}

function jwsUse(algorithm: Algorithm): JsonWebKey {
  return isPairAlgorithm(algorithm) ? { alg: jwsAlgorithm(algorithm), use: 'sig' } : {};
}

/** The algorithm's name in JWS. */
function jwsAlgorithm(algorithm: PairAlgorithm): string {
  const facts = PAIR_ALGORITHMS[algorithm];
  switch (facts.scheme) {
    case 'RSA_PKCS1':
      return `RS${HASH_NUMBERS[facts.hash]}`;
    case 'RSA_PSS':
      return `PS${HASH_NUMBERS[facts.hash]}`;
    case 'ECDSA':
      return `ES${HASH_NUMBERS[facts.hash]}`;
    case 'EDDSA':
      return 'EdDSA';
  }
}
