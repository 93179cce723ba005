import { createHmac, randomBytes } from 'node:crypto';
import pkcs11js, { type Mechanism, type RsaOAEP } from 'pkcs11js';
import { WRAPPINGS, type Wrapping } from '../domain/key-import.ts';
import { VERSION_ID_BYTES } from '../domain/version-id.ts';
import { wrapSecret } from '../service/secret-wrapping.ts';
import { type Handle, nativeTemplate, type Template } from './attributes.ts';
import { CryptokiError, ck, isLoss } from './ck-rv.ts';
import { destroyQuietly } from './key-creation.ts';
import { importedKeyTemplate } from './key-template.ts';
import { signMac } from './mac.ts';
import { can, macKeyOf } from './mechanisms.ts';
import type { Session } from './session.ts';

/** An RSA key pair in the token. */
export interface RsaPair {
  readonly privateKey: Handle;
  /** A DER-encoded SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
  /** Length of what it encrypts to. */
  readonly modulusBytes: number;
}

/** How a token unwraps. */
export interface Method {
  readonly wrapping: Wrapping;
  /** What unwraps with the AES key; undefined where there is none. */
  readonly aesMechanism: number | undefined;
}

export interface Unwrapping extends RsaPair, Method {}

/** CKZ_DATA_SPECIFIED, without data. pkcs11js 2.1.7 has no name for it. */
const EMPTY_LABEL = 1;

const OAEP: Readonly<Record<'sha1' | 'sha256', Mechanism>> = {
  sha1: oaep(pkcs11js.CKM_SHA_1, pkcs11js.CKG_MGF1_SHA1),
  sha256: oaep(pkcs11js.CKM_SHA256, pkcs11js.CKG_MGF1_SHA256),
};

/**
 * Mechanisms that may be RFC 5649, the likelier one first: CKM_AES_KEY_WRAP_KWP of PKCS#11 3.0, and
 * CKM_AES_KEY_WRAP_PAD, which is that on SoftHSM 2.6 and another padding elsewhere.
 */
const AES_MECHANISMS = [
  { type: 0x210b, name: 'CKM_AES_KEY_WRAP_KWP' },
  { type: pkcs11js.CKM_AES_KEY_WRAP_PAD, name: 'CKM_AES_KEY_WRAP_PAD' },
];

/** The best first. SoftHSM 2.6 knows OAEP with SHA-1 alone, and nothing but a try tells. */
const WRAPPINGS_BY_RANK: readonly Wrapping[] = [
  'RSA_OAEP_SHA256_AES_256_KWP',
  'RSA_OAEP_SHA1_AES_256_KWP',
  'RSA_OAEP_SHA256',
  'RSA_OAEP_SHA1',
];

const TRIAL_ALGORITHM = 'HMAC_SHA256';
const TRIAL_DATA = Buffer.from('sigild tries an unwrapping');

function oaep(hashAlg: number, mgf: number): Mechanism {
  const type = pkcs11js.CK_PARAMS_RSA_OAEP;
  const parameter: RsaOAEP = { type, hashAlg, mgf, source: EMPTY_LABEL };
  return { mechanism: pkcs11js.CKM_RSA_PKCS_OAEP, parameter };
}

/**
 * Finds out how the token unwraps, by trying.
 *
 * @returns undefined where no way works
 * @throws {CryptokiError} when the token or the login is lost
 */
export function findMethod(session: Session, pair: RsaPair): Method | undefined {
  const aesMechanisms = AES_MECHANISMS.filter((mechanism) =>
    can(session.slot, mechanism, pkcs11js.CKF_UNWRAP),
  );
  return WRAPPINGS_BY_RANK.flatMap((wrapping): Method[] =>
    WRAPPINGS[wrapping].aesKeyWrap
      ? aesMechanisms.map(({ type }) => ({ wrapping, aesMechanism: type }))
      : [{ wrapping, aesMechanism: undefined }],
  ).find((method) => unwraps(session, { ...pair, ...method }));
}

/**
 * Whether a secret that is wrapped rightly is unwrapped rightly. Nothing of it is left.
 *
 * @throws {CryptokiError} when the token or the login is lost
 */
export function unwraps(session: Session, unwrapping: Unwrapping): boolean {
  const secret = randomBytes(32);
  const wrapped = wrapSecret(secret, unwrapping.publicKey, unwrapping.wrapping);
  let handle: Handle | undefined;
  try {
    handle = unwrap(session, unwrapping, wrapped, trialTemplate());
    const mac = signMac(session, macKeyOf(handle, TRIAL_ALGORITHM), TRIAL_DATA);
    return mac.equals(createHmac('sha256', secret).update(TRIAL_DATA).digest());
  } catch (error) {
    if (!(error instanceof CryptokiError) || isLoss(error)) throw error;
    return false;
  } finally {
    if (handle) destroyQuietly(session, [handle]);
  }
}

/**
 * Unwraps a key to an object with these attributes.
 *
 * @throws {CryptokiError}
 */
export function unwrap(
  session: Session,
  { privateKey, modulusBytes, wrapping, aesMechanism }: Unwrapping,
  wrapped: Buffer,
  template: Template,
): Handle {
  const rsa = OAEP[WRAPPINGS[wrapping].oaepHash];
  if (aesMechanism === undefined) return unwrapKey(session, rsa, privateKey, wrapped, template);
  const aesKey = unwrapKey(session, rsa, privateKey, wrapped.subarray(0, modulusBytes), AES_KEY);
  try {
    const aes = { mechanism: aesMechanism };
    return unwrapKey(session, aes, aesKey, wrapped.subarray(modulusBytes), template);
  } finally {
    destroyQuietly(session, [aesKey]);
  }
}

/** It unwraps one key and can do nothing else. */
const AES_KEY: Template = new Map<number, number | boolean>([
  [pkcs11js.CKA_CLASS, pkcs11js.CKO_SECRET_KEY],
  [pkcs11js.CKA_KEY_TYPE, pkcs11js.CKK_AES],
  [pkcs11js.CKA_TOKEN, false],
  [pkcs11js.CKA_PRIVATE, true],
  [pkcs11js.CKA_SENSITIVE, true],
  [pkcs11js.CKA_EXTRACTABLE, false],
  [pkcs11js.CKA_UNWRAP, true],
  [pkcs11js.CKA_WRAP, false],
  [pkcs11js.CKA_ENCRYPT, false],
  [pkcs11js.CKA_DECRYPT, false],
  [pkcs11js.CKA_SIGN, false],
  [pkcs11js.CKA_VERIFY, false],
  [pkcs11js.CKA_DERIVE, false],
]);

function unwrapKey(
  { lib, handle }: Session,
  mechanism: Mechanism,
  key: Handle,
  wrapped: Buffer,
  template: Template,
): Handle {
  return ck('C_UnwrapKey', () =>
    lib.C_UnwrapKey(handle, mechanism, key, wrapped, nativeTemplate(template)),
  );
}

function trialTemplate(): Template {
  const id = randomBytes(VERSION_ID_BYTES);
  const template = importedKeyTemplate({ label: 'sigild:trial', id, algorithm: TRIAL_ALGORITHM });
  template.delete(pkcs11js.CKA_ALLOWED_MECHANISMS);
  return template.set(pkcs11js.CKA_TOKEN, false);
}
