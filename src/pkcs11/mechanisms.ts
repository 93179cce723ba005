import pkcs11js from 'pkcs11js';
import {
  AGREEMENT_ALGORITHMS,
  type AgreementAlgorithm,
  type Algorithm,
  hasTwoHalves,
  isAgreementAlgorithm,
  MAC_ALGORITHM_NAMES,
  MAC_ALGORITHMS,
  type MacAlgorithm,
  type TwoHalfAlgorithm,
} from '../domain/algorithm.ts';
import { SigildError } from '../domain/errors.ts';
import type { Handle } from './attributes.ts';
import { CryptokiError, ck } from './ck-rv.ts';
import type { MacKey } from './mac.ts';
import { type NamedMechanism, PAIR_MECHANISMS } from './pair-mechanisms.ts';
import type { Slot } from './session.ts';

interface MacMechanism extends NamedMechanism {
  /** Makes its keys. */
  readonly generation: NamedMechanism;
  /** The type of new keys, and then those that other tools may have given theirs. */
  readonly keyTypes: readonly [number, ...number[]];
  /** Whether a key's length tells which algorithm it is for. */
  readonly fixedLength: boolean;
}

/** What the token reports of a key and its use depends on. */
export interface KeyShape {
  readonly keyType: number | undefined;
  readonly valueBytes: number | undefined;
}

/** @param keyType the key type of the same hash */
function hmac(type: number, name: string, keyType: number): MacMechanism {
  return {
    type,
    name,
    generation: {
      type: pkcs11js.CKM_GENERIC_SECRET_KEY_GEN,
      name: 'CKM_GENERIC_SECRET_KEY_GEN',
    },
    keyTypes: [pkcs11js.CKK_GENERIC_SECRET, keyType],
    fixedLength: false,
  };
}

/** CMAC with keys of any length that AES has: the algorithms differ in that alone. */
const AES_CMAC: MacMechanism = {
  type: pkcs11js.CKM_AES_CMAC,
  name: 'CKM_AES_CMAC',
  generation: { type: pkcs11js.CKM_AES_KEY_GEN, name: 'CKM_AES_KEY_GEN' },
  keyTypes: [pkcs11js.CKK_AES],
  fixedLength: true,
};

/** The mechanism of each algorithm of MACs. pkcs11js 2.1.7 has no name for those of PKCS#11 3.0. */
export const MECHANISMS: Readonly<Record<MacAlgorithm, MacMechanism>> = {
  HMAC_SHA1: hmac(pkcs11js.CKM_SHA_1_HMAC, 'CKM_SHA_1_HMAC', pkcs11js.CKK_SHA_1_HMAC),
  HMAC_SHA224: hmac(pkcs11js.CKM_SHA224_HMAC, 'CKM_SHA224_HMAC', pkcs11js.CKK_SHA224_HMAC),
  HMAC_SHA256: hmac(pkcs11js.CKM_SHA256_HMAC, 'CKM_SHA256_HMAC', pkcs11js.CKK_SHA256_HMAC),
  HMAC_SHA384: hmac(pkcs11js.CKM_SHA384_HMAC, 'CKM_SHA384_HMAC', pkcs11js.CKK_SHA384_HMAC),
  HMAC_SHA512: hmac(pkcs11js.CKM_SHA512_HMAC, 'CKM_SHA512_HMAC', pkcs11js.CKK_SHA512_HMAC),
  HMAC_SHA3_256: hmac(0x2b1, 'CKM_SHA3_256_HMAC', 0x34),
  HMAC_SHA3_384: hmac(0x2c1, 'CKM_SHA3_384_HMAC', 0x35),
  HMAC_SHA3_512: hmac(0x2d1, 'CKM_SHA3_512_HMAC', 0x36),
  AES_128_CMAC: AES_CMAC,
  AES_256_CMAC: AES_CMAC,
};

/** The algorithms of MACs that a mechanism belongs to; a key's shape tells which of them. */
export function algorithmsOf(mechanism: number): readonly MacAlgorithm[] {
  return MAC_ALGORITHM_NAMES.filter((algorithm) => MECHANISMS[algorithm].type === mechanism);
}

/** Whether a key can be one of the algorithm's. */
export function suits(algorithm: MacAlgorithm, { keyType, valueBytes }: KeyShape): boolean {
  const { keyTypes, fixedLength } = MECHANISMS[algorithm];
  if (!keyTypes.some((type) => type === keyType)) return false;
  return !fixedLength || valueBytes === MAC_ALGORITHMS[algorithm].keyBytes;
}

/** A secret key as MACs are made with it. */
export function macKeyOf(handle: Handle, algorithm: Algorithm): MacKey {
  if (hasTwoHalves(algorithm)) throw new Error(`${algorithm} makes no MACs`);
  const { type } = MECHANISMS[algorithm];
  return { handle, mechanism: { mechanism: type }, macBytes: MAC_ALGORITHMS[algorithm].macBytes };
}

/** What makes an algorithm's MACs or signatures; of agreement, what derives the key that makes them. */
export function signingMechanismOf(algorithm: Algorithm): NamedMechanism {
  return hasTwoHalves(algorithm) ? PAIR_MECHANISMS[algorithm].signing : MECHANISMS[algorithm];
}

/**
 * @throws {SigildError} ALGORITHM_UNSUPPORTED, naming the mechanism that the token lacks
 * @throws {CryptokiError}
 */
export function assertSupported(slot: Slot, algorithm: Algorithm): void {
  assertHas(algorithm, missingMechanism(slot, algorithm));
}

/** As {@link assertSupported}, for keys that are there already. */
export function assertSigns(slot: Slot, algorithm: Algorithm): void {
  assertHas(algorithm, missingForUse(slot, algorithm));
}

function assertHas(algorithm: Algorithm, missing: string | undefined): void {
  if (missing === undefined) return;
  throw new SigildError('ALGORITHM_UNSUPPORTED', `${algorithm}: this token has no ${missing}`);
}

/**
 * @returns the name of a mechanism without which there are no keys for the algorithm; undefined where
 *   the token has all
 * @throws {CryptokiError}
 */
export function missingMechanism(slot: Slot, algorithm: Algorithm): string | undefined {
  return missingForUse(slot, algorithm) ?? missingForKeys(slot, algorithm);
}

/** Of what signs, or makes MACs. */
function missingForUse(slot: Slot, algorithm: Algorithm): string | undefined {
  if (isAgreementAlgorithm(algorithm)) return missingForAgreement(slot, algorithm);
  const signing = signingMechanismOf(algorithm);
  return can(slot, signing, pkcs11js.CKF_SIGN) ? undefined : signing.name;
}

/** Of what makes the keys. */
function missingForKeys(slot: Slot, algorithm: Algorithm): string | undefined {
  if (hasTwoHalves(algorithm)) return missingForPairs(slot, algorithm);
  const { generation } = MECHANISMS[algorithm];
  return can(slot, generation, pkcs11js.CKF_GENERATE) ? undefined : generation.name;
}

function missingForAgreement(slot: Slot, algorithm: AgreementAlgorithm): string | undefined {
  const { signing: derivation } = PAIR_MECHANISMS[algorithm];
  if (!can(slot, derivation, pkcs11js.CKF_DERIVE)) return derivation.name;
  const mac = MECHANISMS[AGREEMENT_ALGORITHMS[algorithm].mac];
  return can(slot, mac, pkcs11js.CKF_SIGN) ? undefined : mac.name;
}

function missingForPairs(slot: Slot, algorithm: TwoHalfAlgorithm): string | undefined {
  const { generation, keyBits } = PAIR_MECHANISMS[algorithm];
  if (!can(slot, generation, pkcs11js.CKF_GENERATE_KEY_PAIR)) return generation.name;
  const { maxKeySize = 0 } = infoOf(slot, generation) ?? {};
  return maxKeySize >= keyBits ? undefined : `${generation.name} of ${keyBits} bits`;
}

/** Whether the token can do that with the mechanism. @throws {CryptokiError} */
export function can(slot: Slot, mechanism: NamedMechanism, flag: number): boolean {
  return ((infoOf(slot, mechanism)?.flags ?? 0) & flag) !== 0;
}

function infoOf({ lib, handle }: Slot, { type }: NamedMechanism) {
  try {
    return ck('C_GetMechanismInfo', () => lib.C_GetMechanismInfo(handle, type));
  } catch (error) {
    if (error instanceof CryptokiError && error.rv === pkcs11js.CKR_MECHANISM_INVALID) {
      return undefined;
    }
    throw error;
  }
}
