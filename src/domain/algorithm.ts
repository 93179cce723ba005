/** What sigild knows of an HMAC algorithm. */
interface AlgorithmFacts {
  /** Length of the MAC in bytes: the hash's output length. */
  readonly macBytes: number;
  /** Length of a new key in bytes: the hash's output length, the least that RFC 2104 section 3 advises. */
  readonly keyBytes: number;
}

/** The algorithms, by their names in the API. */
export const ALGORITHMS = {
  HMAC_SHA1: { macBytes: 20, keyBytes: 20 },
  HMAC_SHA224: { macBytes: 28, keyBytes: 28 },
  HMAC_SHA256: { macBytes: 32, keyBytes: 32 },
  HMAC_SHA384: { macBytes: 48, keyBytes: 48 },
  HMAC_SHA512: { macBytes: 64, keyBytes: 64 },
} as const satisfies Record<string, AlgorithmFacts>;

export type Algorithm = keyof typeof ALGORITHMS;

export const ALGORITHM_NAMES = Object.keys(ALGORITHMS) as readonly Algorithm[];

export function isAlgorithm(name: string): name is Algorithm {
  return Object.hasOwn(ALGORITHMS, name);
}
