import {
  createHash,
  generateKeyPairSync,
  type KeyObject,
  type KeyPairKeyObjectResult,
  sign,
  verify,
} from 'node:crypto';
import { PAIR_ALGORITHMS, type PairAlgorithm } from '../../src/domain/algorithm.ts';

/**
 * A key pair in memory, whose signatures have the right lengths. It signs digests as if they were
 * messages, as node:crypto signs no digests: only what it has signed itself does it verify.
 */
export class FakePair {
  readonly #algorithm: PairAlgorithm;
  readonly #keys: KeyPairKeyObjectResult;

  constructor(algorithm: PairAlgorithm) {
    this.#algorithm = algorithm;
    this.#keys = generate(algorithm);
  }

  get spki(): Buffer {
    return this.#keys.publicKey.export({ format: 'der', type: 'spki' });
  }

  sign(message: Uint8Array, isDigest: boolean): Buffer {
    const { hash = null } = PAIR_ALGORITHMS[this.#algorithm];
    return sign(hash, this.#digest(message, isDigest), this.#key(this.#keys.privateKey));
  }

  isSigned(message: Uint8Array, signature: Uint8Array, isDigest: boolean): boolean {
    const { hash = null } = PAIR_ALGORITHMS[this.#algorithm];
    const key = this.#key(this.#keys.publicKey);
    return verify(hash, this.#digest(message, isDigest), key, signature);
  }

  #key(key: KeyObject) {
    return { key, dsaEncoding: 'ieee-p1363' as const };
  }

  #digest(message: Uint8Array, isDigest: boolean): Uint8Array {
    const { hash } = PAIR_ALGORITHMS[this.#algorithm];
    return isDigest || !hash ? message : createHash(hash).update(message).digest();
  }
}

function generate(algorithm: PairAlgorithm): KeyPairKeyObjectResult {
  const facts = PAIR_ALGORITHMS[algorithm];
  if (facts.scheme === 'EDDSA') return generateKeyPairSync('ed25519');
  if (facts.scheme === 'ECDSA') return generateKeyPairSync('ec', { namedCurve: facts.curve });
  return generateKeyPairSync('rsa', { modulusLength: facts.modulusBits });
}
