import {
  type KeyObject as CryptoKey,
  createHash,
  createHmac,
  diffieHellman,
  generateKeyPairSync,
} from 'node:crypto';
import {
  AGREEMENT_ALGORITHMS,
  isAgreementAlgorithm,
  isPairAlgorithm,
} from '../domain/algorithm.ts';
import { SigildError } from '../domain/errors.ts';
import { FINGERPRINT_BYTES } from '../domain/fingerprint.ts';
import type { KeyVersion } from '../domain/key.ts';
import { maySign, mayVerify } from '../domain/key-state.ts';
import { FINGERPRINT_TEXT } from '../service/reserved-text.ts';
import { type AgreementKey, agreementKey, signOnce } from './key-agreement.ts';
import type { DirectoryEntry } from './key-directory.ts';
import type { KeyObject, PublicHalf } from './key-objects.ts';
import { type MacKey, signMac } from './mac.ts';
import { macKeyOf } from './mechanisms.ts';
import { digestOf, type KeyPair, keyPair, signDigest, verifyHere } from './pair-signature.ts';
import { pointOf, spkiOf } from './public-key.ts';
import type { Session } from './session.ts';

/** A key that is ready for use, and which one it is. */
interface ProvenKey {
  readonly entry: DirectoryEntry;
  /** Undefined for a secret key that may not sign: nothing tells which one it is. */
  readonly fingerprint: Buffer | undefined;
}

const FINGERPRINT_DATA = Buffer.from(FINGERPRINT_TEXT);

/**
 * Makes a key ready for use, and its fingerprint with the handles that will be used.
 *
 * @throws {SigildError} TOKEN_REFUSED for a pair whose halves do not belong together
 * @throws {CryptokiError}
 */
export function proveKey(session: Session, { handle, version, publicHalf }: KeyObject): ProvenKey {
  const { algorithm } = version;
  if (publicHalf && isAgreementAlgorithm(algorithm)) {
    return proveAgreement(session, version, agreementKey(algorithm, handle, publicHalf.key));
  }
  return publicHalf && isPairAlgorithm(algorithm)
    ? provePair(session, version, publicHalf, keyPair(algorithm, handle, publicHalf))
    : proveSecret(session, version, macKeyOf(handle, algorithm));
}

function proveSecret(session: Session, { state }: KeyVersion, key: MacKey): ProvenKey {
  const mac = maySign(state) ? signMac(session, key, FINGERPRINT_DATA) : undefined;
  return {
    entry: { ...key, kind: 'mac', maySign: maySign(state), fingerprint: mac },
    fingerprint: mac?.subarray(0, FINGERPRINT_BYTES),
  };
}

/**
 * The public half must verify what the private one signs: so the fingerprint, which is the public
 * key's, speaks for both. A private half that may not sign is not used, so that it need not be known.
 */
function provePair(
  session: Session,
  version: KeyVersion,
  publicHalf: PublicHalf,
  pair: KeyPair,
): ProvenKey {
  if (maySign(version.state)) {
    const signature = signDigest(session, pair, digestOf(pair, FINGERPRINT_DATA));
    if (!verifyHere(pair, FINGERPRINT_DATA, signature)) throw unequal(version);
  }
  return {
    entry: {
      ...pair,
      kind: 'pair',
      mayVerify: publicHalf.mayVerify,
      checkedAtMs: performance.now(),
    },
    fingerprint: fingerprintOf(pair.publicKey),
  };
}

/**
 * The private half must agree with a peer of this moment upon what the peer finds with the public one.
 * As of pairs that sign, the fingerprint speaks for both then.
 */
function proveAgreement(session: Session, version: KeyVersion, own: AgreementKey): ProvenKey {
  if (mayVerify(version.state)) {
    const { curve, hash } = AGREEMENT_ALGORITHMS[own.algorithm];
    const peer = generateKeyPairSync('ec', { namedCurve: curve });
    const secret = diffieHellman({ privateKey: peer.privateKey, publicKey: own.publicKey });
    const expected = createHmac(hash, secret).update(FINGERPRINT_DATA).digest();
    const mac = signOnce(session, own, pointOf(peer.publicKey), FINGERPRINT_DATA);
    if (!mac.equals(expected)) throw unequal(version);
  }
  return { entry: { ...own, kind: 'agreement' }, fingerprint: fingerprintOf(own.publicKey) };
}

function fingerprintOf(publicKey: CryptoKey): Buffer {
  const digest = createHash('sha256').update(spkiOf(publicKey)).digest();
  return digest.subarray(0, FINGERPRINT_BYTES);
}

function unequal({ key, id }: KeyVersion): SigildError {
  return new SigildError(
    'TOKEN_REFUSED',
    `the private key ${id} of key ${key} does not belong to the public key with its CKA_ID; ` +
      'remove the wrong one of the two',
  );
}
