import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import pkcs11js from 'pkcs11js';
import type { PinSource } from '../domain/token-options.ts';
import { StartFailure } from '../service/start-failure.ts';
import { CryptokiError, ck } from './ck-rv.ts';
import { openSession, type Session, type Slot } from './session.ts';

/** Longer than any token's PIN (CK_TOKEN_INFO's ulMaxPinLen is 255 on SoftHSM 2.6). */
const MAX_PIN_BYTES = 1_024;

/**
 * Reads a PIN, without the line's end, from a file that nobody else may read.
 *
 * @throws {StartFailure} configuration
 */
export function readPin({ file, credential }: PinSource): string {
  const buffer = Buffer.alloc(MAX_PIN_BYTES);
  try {
    const bytes = readPrivate(file, credential ? 0o007 : 0o077, buffer);
    const pin = buffer.toString('utf8', 0, bytes).replace(/\r?\n$/, '');
    if (pin !== '') return pin;
  } finally {
    buffer.fill(0);
  }
  throw new StartFailure('configuration', `PIN file ${file} is empty`);
}

function readPrivate(file: string, forbiddenMode: number, buffer: Buffer): number {
  const fd = openPin(file);
  try {
    const status = fstatSync(fd);
    if (status.isDirectory()) {
      throw new StartFailure('configuration', `PIN file ${file} is a directory`);
    }
    const { mode } = status;
    if ((mode & forbiddenMode) === 0) return readSync(fd, buffer, 0, buffer.byteLength, null);
    throw new StartFailure(
      'configuration',
      `PIN file ${file} can be read by others (mode ${(mode & 0o777).toString(8)}): ` +
        'run chmod 600 on it, and change the PIN if others may have seen it',
    );
  } finally {
    closeSync(fd);
  }
}

function openPin(file: string): number {
  try {
    return openSync(file, 'r');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new StartFailure('configuration', `PIN file ${file} cannot be read: ${why}`, error);
  }
}

/**
 * Logs in, once: a token may lock after three wrong PINs. The login holds for every session of this
 * process for as long as this session, the keeper session, stays open.
 *
 * @throws {StartFailure} wrong-pin, unavailable
 */
export function login(slot: Slot, pin: string): Session {
  try {
    const keeper = openSession(slot);
    ck('C_Login', () => slot.lib.C_Login(keeper.handle, pkcs11js.CKU_USER, pin));
    return keeper;
  } catch (error) {
    if (!(error instanceof CryptokiError)) throw error;
    throw loginFailure(error);
  }
}

/** @throws {CryptokiError} */
export function logout({ lib, handle }: Session): void {
  ck('C_Logout', () => lib.C_Logout(handle));
}

function loginFailure(error: CryptokiError): StartFailure {
  if (error.verdict.next !== 'wrong-pin') {
    return new StartFailure(
      'unavailable',
      `the token cannot be logged in to: ${error.message}`,
      error,
    );
  }
  const remedy =
    error.rv === pkcs11js.CKR_PIN_LOCKED
      ? 'its PIN is locked; the security officer must set a new one'
      : 'put the right PIN in place, then start over; it is not tried again, since tokens lock';
  return new StartFailure(
    'wrong-pin',
    `the token refused the PIN (${error.message}): ${remedy}`,
    error,
  );
}
