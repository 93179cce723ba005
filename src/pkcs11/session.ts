import pkcs11js, { type PKCS11 } from 'pkcs11js';
import { ck } from './ck-rv.ts';

/** A slot as sessions need it; graphene-pk11's are such. */
export interface Slot {
  readonly lib: PKCS11;
  readonly handle: Buffer;
}

/**
 * An open session. Session lanes have no need of graphene-pk11 for it, which each thread would have
 * to load.
 */
export interface Session {
  readonly lib: PKCS11;
  readonly handle: Buffer;
  readonly slot: Slot;
  /** @throws {CryptokiError} */
  close(): void;
}

/** Opens a session that may create objects. @throws {CryptokiError} */
export function openSession(slot: Slot): Session {
  const { lib } = slot;
  const flags = pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION;
  const handle = ck('C_OpenSession', () => lib.C_OpenSession(slot.handle, flags));
  return { lib, handle, slot, close: () => ck('C_CloseSession', () => lib.C_CloseSession(handle)) };
}
