import pkcs11js from 'pkcs11js';
import type { Algorithm } from '../domain/algorithm.ts';
import { SigildError } from '../domain/errors.ts';
import { CryptokiError, ck } from './ck-rv.ts';
import type { Slot } from './session.ts';

interface MacMechanism {
  readonly type: number;
  readonly name: string;
  /** The key type of the same hash, which other tools may have given their HMAC keys. */
  readonly keyType: number;
}

/** The mechanism of each algorithm. */
export const MECHANISMS = {
  HMAC_SHA1: {
    type: pkcs11js.CKM_SHA_1_HMAC,
    name: 'CKM_SHA_1_HMAC',
    keyType: pkcs11js.CKK_SHA_1_HMAC,
  },
  HMAC_SHA224: {
    type: pkcs11js.CKM_SHA224_HMAC,
    name: 'CKM_SHA224_HMAC',
    keyType: pkcs11js.CKK_SHA224_HMAC,
  },
  HMAC_SHA256: {
    type: pkcs11js.CKM_SHA256_HMAC,
    name: 'CKM_SHA256_HMAC',
    keyType: pkcs11js.CKK_SHA256_HMAC,
  },
  HMAC_SHA384: {
    type: pkcs11js.CKM_SHA384_HMAC,
    name: 'CKM_SHA384_HMAC',
    keyType: pkcs11js.CKK_SHA384_HMAC,
  },
  HMAC_SHA512: {
    type: pkcs11js.CKM_SHA512_HMAC,
    name: 'CKM_SHA512_HMAC',
    keyType: pkcs11js.CKK_SHA512_HMAC,
  },
} as const satisfies Record<Algorithm, MacMechanism>;

/** @returns undefined for a mechanism that belongs to no algorithm of sigild */
export function algorithmOf(mechanism: number): Algorithm | undefined {
  return (Object.keys(MECHANISMS) as Algorithm[]).find(
    (algorithm) => MECHANISMS[algorithm].type === mechanism,
  );
}

/**
 * @throws {SigildError} ALGORITHM_UNSUPPORTED, naming the mechanism that the token lacks
 * @throws {CryptokiError}
 */
export function assertSupported(slot: Slot, algorithm: Algorithm): void {
  const { type, name } = MECHANISMS[algorithm];
  requireMechanism(slot, algorithm, type, name, pkcs11js.CKF_SIGN);
  requireMechanism(
    slot,
    algorithm,
    pkcs11js.CKM_GENERIC_SECRET_KEY_GEN,
    'CKM_GENERIC_SECRET_KEY_GEN',
    pkcs11js.CKF_GENERATE,
  );
}

function requireMechanism(
  slot: Slot,
  algorithm: Algorithm,
  type: number,
  name: string,
  flag: number,
): void {
  if ((mechanismFlags(slot, type) & flag) !== 0) return;
  throw new SigildError('ALGORITHM_UNSUPPORTED', `${algorithm}: this token has no ${name}`);
}

function mechanismFlags(slot: Slot, type: number): number {
  try {
    return ck('C_GetMechanismInfo', () => slot.lib.C_GetMechanismInfo(slot.handle, type)).flags;
  } catch (error) {
    if (error instanceof CryptokiError && error.rv === pkcs11js.CKR_MECHANISM_INVALID) return 0;
    throw error;
  }
}
