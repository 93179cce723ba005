import type { KeyObject as CryptoKey } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { AGREEMENT_ALGORITHMS, type AgreementAlgorithm } from '../domain/algorithm.ts';
import { SigildError } from '../domain/errors.ts';
import { type Handle, nativeTemplate, type Template } from './attributes.ts';
import { ck } from './ck-rv.ts';
import { differingAttributes, macKeyTemplate } from './key-template.ts';
import { type MacKey, signMac } from './mac.ts';
import { macKeyOf } from './mechanisms.ts';
import { PAIR_MECHANISMS } from './pair-mechanisms.ts';
import { pointOf } from './public-key.ts';
import type { Session } from './session.ts';

/** A key that agrees upon others, ready for use. */
export interface AgreementKey {
  readonly algorithm: AgreementAlgorithm;
  readonly privateHandle: Handle;
  readonly publicKey: CryptoKey;
  /** The public key as {@link deriveMacKey} takes those of peers. */
  readonly point: Buffer;
}

/** Not a key name, so that an agreed key is never taken for one that is served. */
const AGREED_LABEL = 'sigild:agreed';

export function agreementKey(
  algorithm: AgreementAlgorithm,
  privateHandle: Handle,
  publicKey: CryptoKey,
): AgreementKey {
  return { algorithm, privateHandle, publicKey, point: pointOf(publicKey) };
}

/**
 * C_DeriveKey: the secret that ECDH gives becomes a MAC key of the session, which can leave the token no
 * more than the private key, as its attributes show when they are read back.
 *
 * @param peer an uncompressed point of the curve: SoftHSM 2.6 answers any other with CKR_GENERAL_ERROR
 * @throws {SigildError} TOKEN_REFUSED when the token changed an attribute
 * @throws {CryptokiError}
 */
export function deriveMacKey(
  session: Session,
  { algorithm, privateHandle }: AgreementKey,
  peer: Buffer,
): MacKey {
  const template = agreedTemplate(algorithm);
  const { type } = PAIR_MECHANISMS[algorithm].signing;
  const parameter = { type: pkcs11js.CK_PARAMS_EC_DH, kdf: pkcs11js.CKD_NULL, publicData: peer };
  const handle = ck('C_DeriveKey', () =>
    session.lib.C_DeriveKey(
      session.handle,
      { mechanism: type, parameter },
      privateHandle,
      nativeTemplate(template),
    ),
  );
  const key = macKeyOf(handle, AGREEMENT_ALGORITHMS[algorithm].mac);
  try {
    assertSafe(session, key, template);
  } catch (error) {
    destroyAgreed(session, key);
    throw error;
  }
  return key;
}

/** One MAC with a key that is gone afterwards. @throws as {@link deriveMacKey} */
export function signOnce(session: Session, own: AgreementKey, peer: Buffer, data: Buffer): Buffer {
  const key = deriveMacKey(session, own, peer);
  try {
    return signMac(session, key, data);
  } finally {
    destroyAgreed(session, key);
  }
}

export function destroyAgreed({ lib, handle }: Session, key: MacKey): void {
  try {
    lib.C_DestroyObject(handle, key.handle);
  } catch {
    // It goes with its session in any case.
  }
}

function agreedTemplate(algorithm: AgreementAlgorithm): Template {
  const { mac, secretBytes } = AGREEMENT_ALGORITHMS[algorithm];
  const named = { label: AGREED_LABEL, id: Buffer.alloc(0), algorithm: mac };
  const template = macKeyTemplate(named)
    .set(pkcs11js.CKA_TOKEN, false)
    .set(pkcs11js.CKA_VALUE_LEN, secretBytes);
  template.delete(pkcs11js.CKA_ID);
  // One session alone has it, for one mechanism; tokens without this attribute agree upon keys too.
  template.delete(pkcs11js.CKA_ALLOWED_MECHANISMS);
  return template;
}

function assertSafe(session: Session, { handle }: MacKey, template: Template): void {
  const differing = differingAttributes(session, handle, template, new Map());
  if (differing.length === 0) return;
  throw new SigildError(
    'TOKEN_REFUSED',
    `the token changed ${differing.join(', ')} of a key that was agreed upon`,
  );
}
