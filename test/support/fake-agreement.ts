import {
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  type KeyPairKeyObjectResult,
} from 'node:crypto';
import { AGREEMENT_ALGORITHMS, type AgreementAlgorithm } from '../../src/domain/algorithm.ts';
import { fieldInvalid } from '../../src/domain/errors.ts';

/** A key in memory that agrees upon others, which make real MACs. */
export class FakeAgreement {
  readonly #algorithm: AgreementAlgorithm;
  readonly #keys: KeyPairKeyObjectResult;

  constructor(algorithm: AgreementAlgorithm) {
    this.#algorithm = algorithm;
    this.#keys = generateKeyPairSync('ec', { namedCurve: AGREEMENT_ALGORITHMS[algorithm].curve });
  }

  get spki(): Buffer {
    return this.#keys.publicKey.export({ format: 'der', type: 'spki' });
  }

  mac(point: Uint8Array, data: Uint8Array): Buffer {
    const publicKey = this.#peer(point);
    if (publicKey.equals(this.#keys.publicKey)) throw fieldInvalid('peer_public_key', 'its own');
    return agreedMac(this.#algorithm, this.#keys.privateKey, publicKey, data);
  }

  #peer(point: Uint8Array): KeyObject {
    const { curve: crv, secretBytes } = AGREEMENT_ALGORITHMS[this.#algorithm];
    const x = Buffer.from(point.subarray(1, 1 + secretBytes)).toString('base64url');
    const y = Buffer.from(point.subarray(1 + secretBytes)).toString('base64url');
    return createPublicKey({ format: 'jwk', key: { kty: 'EC', crv, x, y } });
  }
}

/** The MAC as either side computes it that has a private key: by node:crypto alone. */
function agreedMac(
  algorithm: AgreementAlgorithm,
  privateKey: KeyObject,
  publicKey: KeyObject,
  data: Uint8Array,
): Buffer {
  const secret = diffieHellman({ privateKey, publicKey });
  return createHmac(AGREEMENT_ALGORITHMS[algorithm].hash, secret).update(data).digest();
}

/** A peer with a key pair of its own. */
export interface TestPeer {
  readonly privateKey: KeyObject;
  /** Its public key. */
  readonly spki: Buffer;
  readonly point: Buffer;
}

export function testPeer(algorithm: AgreementAlgorithm): TestPeer {
  const { curve, secretBytes } = AGREEMENT_ALGORITHMS[algorithm];
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: curve });
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  return { privateKey, spki, point: spki.subarray(-(1 + 2 * secretBytes)) };
}

/** The MAC as the peer computes it. @param spki the public key that the daemon gives */
export function peerMac(
  algorithm: AgreementAlgorithm,
  { privateKey }: Pick<TestPeer, 'privateKey'>,
  spki: Uint8Array,
  data: Uint8Array,
): Buffer {
  const publicKey = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  return agreedMac(algorithm, privateKey, publicKey, data);
}
