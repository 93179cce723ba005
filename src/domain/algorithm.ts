/** What sigild knows of an algorithm, each of which makes MACs. */
interface MacFacts {
  /** Length of the MAC in bytes: of HMAC the hash's output length, of CMAC the cipher's block. */
  readonly macBytes: number;
  /**
   * Length of a new key in bytes: of HMAC the hash's output length, the least that RFC 2104 section 3
   * advises, of CMAC the cipher's key.
   */
  readonly keyBytes: number;
}

/** The algorithms, by their names in the API. */
export const ALGORITHMS = {
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

export type Algorithm = keyof typeof ALGORITHMS;

export const ALGORITHM_NAMES = Object.keys(ALGORITHMS) as readonly Algorithm[];

export function isAlgorithm(name: string): name is Algorithm {
  return Object.hasOwn(ALGORITHMS, name);
}
