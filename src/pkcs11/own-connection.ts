import pkcs11js, { type PKCS11 } from 'pkcs11js';
import type { PinSource } from '../domain/token-options.ts';
import { StartFailure } from '../service/start-failure.ts';
import { CryptokiError, ck } from './ck-rv.ts';
import { login, readPin } from './login.ts';
import type { Slot } from './session.ts';

/** The token that a thread connects to by itself, where another thread has logged in before. */
export interface OwnConnectionOptions {
  readonly serial: string;
  readonly pin: PinSource;
}

/**
 * Whether a thread that loads a module becomes part of the application that its process is already.
 * Cryptoki knows one application a process. p11-kit-client.so 0.24 begins another one with each
 * C_GetFunctionList: with its own connection, login, sessions and handles.
 *
 * @param file of a module that this thread has initialised
 */
export function joinsOtherThreads(file: string): boolean {
  const lib = new pkcs11js.PKCS11();
  lib.load(file);
  try {
    ck('C_GetInfo', () => lib.C_GetInfo());
    return true;
  } catch (error) {
    if (!(error instanceof CryptokiError)) throw error;
    return error.rv !== pkcs11js.CKR_CRYPTOKI_NOT_INITIALIZED;
  } finally {
    lib.close();
  }
}

/**
 * Connects a thread as an application of its own, until the process ends. C_Login is called once.
 *
 * @param lib the module, which this thread has loaded
 * @returns the token's slot
 * @throws {StartFailure} unavailable, wrong-pin
 */
export function connectThread(lib: PKCS11, { serial, pin }: OwnConnectionOptions): Slot {
  try {
    ck('C_Initialize', () => lib.C_Initialize({ flags: pkcs11js.CKF_OS_LOCKING_OK }));
    const slot = { lib, handle: findSlot(lib, serial) };
    // The keeper session stays open, and with it the login.
    login(slot, readPin(pin));
    return slot;
  } catch (error) {
    if (!(error instanceof CryptokiError)) throw error;
    throw new StartFailure('unavailable', `a thread cannot use the token: ${error.message}`, error);
  }
}

/** @throws {StartFailure} @throws {CryptokiError} */
function findSlot(lib: PKCS11, serial: string): Buffer {
  const slots = ck('C_GetSlotList', () => lib.C_GetSlotList(true));
  const found = slots.find((slot) => {
    const info = ck('C_GetTokenInfo', () => lib.C_GetTokenInfo(slot));
    return info.serialNumber.trimEnd() === serial;
  });
  if (found) return found;
  throw new StartFailure('unavailable', `a thread finds no token with serial "${serial}"`);
}
