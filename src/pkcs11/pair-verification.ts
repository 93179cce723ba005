import pkcs11js from 'pkcs11js';
import { AttributeReader } from './attributes.ts';
import type { PairEntry } from './key-directory.ts';
import { digestOf, verifyHere, verifyInToken } from './pair-signature.ts';
import type { Session } from './session.ts';

/** The least refresh interval: a public key that may verify no more is noticed within it. */
const RECHECK_MS = 1_000;

/**
 * Verifies with the public key in this process, which on SoftHSM 2.6 takes about half the time, and no
 * turn on a token. Where the token forbids it, or the message is given by its digest, which node:crypto
 * does not take, the token is asked.
 *
 * @throws {CryptokiError}
 */
export function verifyWithPair(
  session: Session,
  pair: PairEntry,
  { data, mac }: { readonly data: Buffer; readonly mac: Buffer },
  digests: boolean,
): boolean {
  if (mac.byteLength !== pair.signatureBytes) return false;
  if (!digests && mayVerifyNow(session, pair)) return verifyHere(pair, data, mac);
  return verifyInToken(session, pair, digests ? data : digestOf(pair, data), mac);
}

function mayVerifyNow(session: Session, pair: PairEntry): boolean {
  const nowMs = performance.now();
  if (nowMs - pair.checkedAtMs < RECHECK_MS) return pair.mayVerify;
  const found = new AttributeReader().read(session, pair.publicHandle, [pkcs11js.CKA_VERIFY]);
  pair.mayVerify = found.isSet(pkcs11js.CKA_VERIFY);
  pair.checkedAtMs = nowMs;
  return pair.mayVerify;
}
