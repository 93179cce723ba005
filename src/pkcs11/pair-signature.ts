import {
  type KeyObject as CryptoKey,
  constants,
  createHash,
  type VerifyKeyObjectInput,
  verify,
} from 'node:crypto';
import type { Mechanism } from 'pkcs11js';
import { type Hash, PAIR_ALGORITHMS, type PairAlgorithm } from '../domain/algorithm.ts';
import type { Handle } from './attributes.ts';
import { brokenResult, ck, ckActive } from './ck-rv.ts';
import type { PublicHalf } from './key-objects.ts';
import { verifyMac } from './mac.ts';
import { signingMechanism } from './pair-mechanisms.ts';
import type { Session } from './session.ts';

/** A key pair that is ready to sign and to verify with. */
export interface KeyPair {
  readonly algorithm: PairAlgorithm;
  readonly privateHandle: Handle;
  readonly publicHandle: Handle;
  readonly publicKey: CryptoKey;
  readonly signatureBytes: number;
  readonly mechanism: Mechanism;
}

/** What PKCS #1 v1.5 puts before a digest: DER of a DigestInfo up to the digest's own bytes. */
const DIGEST_INFO = {
  sha256: Buffer.from('3031300d060960864801650304020105000420', 'hex'),
  sha384: Buffer.from('3041300d060960864801650304020205000430', 'hex'),
  sha512: Buffer.from('3051300d060960864801650304020305000440', 'hex'),
} as const satisfies Record<Hash, Buffer>;

/** Room for twice the longest signature: see mac.ts for what tokens do where there is too little. */
const OUTPUT_BYTES = 1_024;

/** No bytes with an address: SoftHSM 2.6 refuses those of `Buffer.alloc(0)`, which have none. */
const NO_BYTES = Buffer.allocUnsafeSlow(1).subarray(0, 0);

export function keyPair(
  algorithm: PairAlgorithm,
  privateHandle: Handle,
  publicHalf: PublicHalf,
): KeyPair {
  return {
    algorithm,
    privateHandle,
    publicHandle: publicHalf.handle,
    publicKey: publicHalf.key,
    signatureBytes: PAIR_ALGORITHMS[algorithm].signatureBytes,
    mechanism: signingMechanism(algorithm),
  };
}

/** What the algorithm signs of a message: its digest, or with Ed25519 the message itself. */
export function digestOf({ algorithm }: KeyPair, data: Buffer): Buffer {
  const { hash } = PAIR_ALGORITHMS[algorithm];
  return hash === undefined ? data : createHash(hash).update(data).digest();
}

/**
 * C_SignInit and C_Sign with the private half.
 *
 * @param digest as {@link digestOf} gives it
 * @returns the signature, of the algorithm's length
 * @throws {CryptokiError}
 */
export function signDigest({ lib, handle }: Session, pair: KeyPair, digest: Buffer): Buffer {
  ck('C_SignInit', () => lib.C_SignInit(handle, pair.mechanism, pair.privateHandle));
  const output = Buffer.allocUnsafe(OUTPUT_BYTES);
  const signature = ckActive('C_Sign', () => lib.C_Sign(handle, inputOf(pair, digest), output));
  if (signature.byteLength === pair.signatureBytes) return signature;
  throw brokenResult(
    'C_Sign',
    `a signature of ${signature.byteLength} bytes instead of ${pair.signatureBytes}`,
  );
}

/**
 * C_VerifyInit and C_Verify with the public half.
 *
 * @param signature of the algorithm's length
 * @throws {CryptokiError}
 */
export function verifyInToken(
  session: Session,
  pair: KeyPair,
  digest: Buffer,
  signature: Buffer,
): boolean {
  const { publicHandle: handle, mechanism, signatureBytes: macBytes } = pair;
  return verifyMac(session, { handle, mechanism, macBytes }, inputOf(pair, digest), signature);
}

/** The same in this process: it takes no turn on the token. @param signature as above */
export function verifyHere(pair: KeyPair, data: Buffer, signature: Buffer): boolean {
  const { hash = null } = PAIR_ALGORITHMS[pair.algorithm];
  return verify(hash, data, verificationKey(pair), signature);
}

function verificationKey({ algorithm, publicKey: key }: KeyPair): VerifyKeyObjectInput {
  switch (PAIR_ALGORITHMS[algorithm].scheme) {
    case 'RSA_PKCS1':
      return { key, padding: constants.RSA_PKCS1_PADDING };
    case 'RSA_PSS':
      return {
        key,
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      };
    case 'ECDSA':
      return { key, dsaEncoding: 'ieee-p1363' };
    case 'EDDSA':
      return { key };
  }
}

/** What C_Sign and C_Verify are given. */
function inputOf({ algorithm }: KeyPair, digest: Buffer): Buffer {
  const { scheme, hash } = PAIR_ALGORITHMS[algorithm];
  if (scheme === 'RSA_PKCS1') return Buffer.concat([DIGEST_INFO[hash], digest]);
  return digest.byteLength === 0 ? NO_BYTES : digest;
}
