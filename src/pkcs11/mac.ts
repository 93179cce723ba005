import pkcs11js, { type Mechanism } from 'pkcs11js';
import type { Handle } from './attributes.ts';
import { brokenResult, CryptokiError, ck, ckActive } from './ck-rv.ts';
import type { Session } from './session.ts';

/** A key that is ready to make MACs with. */
export interface MacKey {
  readonly handle: Handle;
  readonly mechanism: Mechanism;
  readonly macBytes: number;
}

/**
 * Room for any MAC. With a buffer that is too small, SoftHSM 2.6 leaves the operation active, NSS
 * 3.87 truncates and openCryptoki 3.8 writes past its end.
 */
export const OUTPUT_BYTES = 128;

/** Answers of C_Verify and C_VerifyFinal to a MAC that is not the data's; the operation has ended. */
export const NOT_VALID: ReadonlySet<number> = new Set([
  pkcs11js.CKR_SIGNATURE_INVALID,
  pkcs11js.CKR_SIGNATURE_LEN_RANGE,
]);

/**
 * C_SignInit and C_Sign.
 *
 * @returns the MAC, of the algorithm's length
 * @throws {CryptokiError}
 */
export function signMac({ lib, handle }: Session, key: MacKey, data: Buffer): Buffer {
  ck('C_SignInit', () => lib.C_SignInit(handle, key.mechanism, key.handle));
  const output = Buffer.allocUnsafe(OUTPUT_BYTES);
  // SoftHSM 2.6 refuses zero bytes in C_Sign and leaves the operation active.
  const mac =
    data.byteLength === 0
      ? ckActive('C_SignFinal', () => lib.C_SignFinal(handle, output))
      : ckActive('C_Sign', () => lib.C_Sign(handle, data, output));
  if (mac.byteLength === key.macBytes) return mac;
  throw brokenResult('C_Sign', `a MAC of ${mac.byteLength} bytes instead of ${key.macBytes}`);
}

/**
 * C_VerifyInit and C_Verify, for a key that may verify and no longer sign.
 *
 * @param mac of the algorithm's length: NSS 3.87 and openCryptoki 3.8 ignore a wrong length, and an
 *   empty MAC leaves SoftHSM 2.6's operation active
 * @throws {CryptokiError} on NSS 3.87 also for a wrong MAC (CKR_DEVICE_ERROR)
 */
export function verifyMac(
  { lib, handle }: Session,
  key: MacKey,
  data: Buffer,
  mac: Buffer,
): boolean {
  ck('C_VerifyInit', () => lib.C_VerifyInit(handle, key.mechanism, key.handle));
  try {
    // SoftHSM 2.6 refuses zero bytes in C_Verify too.
    return data.byteLength === 0
      ? ckActive('C_VerifyFinal', () => lib.C_VerifyFinal(handle, mac))
      : ckActive('C_Verify', () => lib.C_Verify(handle, data, mac));
  } catch (error) {
    if (error instanceof CryptokiError && NOT_VALID.has(error.rv)) return false;
    throw error;
  }
}
