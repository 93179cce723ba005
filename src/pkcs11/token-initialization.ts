import pkcs11js from 'pkcs11js';
import type { SigildError } from '../domain/errors.ts';
import type { StartFailure } from '../service/start-failure.ts';
import { ck, plainFailure } from './ck-rv.ts';
import { login, logout } from './login.ts';
import type { TokenModule } from './module.ts';
import { openSession, type Session } from './session.ts';
import { type FoundToken, selectToken } from './token-selection.ts';

/** CK_TOKEN_INFO has 32 bytes for a label, filled up with blanks and without a zero at the end. */
export const LABEL_BYTES = 32;

/** The PINs of a new token. */
export interface NewPins {
  readonly so: string;
  readonly user: string;
}

/** An initialisation that failed. Its message says what state the token is left in. */
export class InitializationFailure extends Error {
  override readonly cause: SigildError | StartFailure;
  /** Whether the token was found again and lacks nothing but its user PIN. */
  readonly needsUserPin: boolean;

  constructor(cause: SigildError | StartFailure, state: string, needsUserPin: boolean) {
    super(`${cause.message}; ${state}`);
    this.name = 'InitializationFailure';
    this.cause = cause;
    this.needsUserPin = needsUserPin;
  }
}

/**
 * Initialises a token, which erases what it holds, sets its user PIN and proves it by a login.
 *
 * @param label at most {@link LABEL_BYTES} bytes of UTF-8
 * @returns the token as it is found afterwards
 * @throws {InitializationFailure}
 */
export function initializeToken(
  module: TokenModule,
  { slot }: FoundToken,
  label: string,
  pins: NewPins,
): FoundToken {
  // pkcs11js 2.1.7 passes the label's bytes on as they are, and the module reads 32 of them.
  const padded = label + ' '.repeat(LABEL_BYTES - Buffer.byteLength(label));
  step('nothing was changed', () =>
    ck('C_InitToken', () => slot.lib.C_InitToken(slot.handle, pins.so, padded)),
  );
  // SoftHSM 2.6 gives an initialised token another slot, at the latest to the next process.
  const token = step(`a token "${label}" was initialised and has no user PIN`, () => {
    const { serialNumber } = ck('C_GetTokenInfo', () => slot.getToken());
    return selectToken(module, { label, serial: serialNumber || undefined });
  });
  const name = `the token "${label}" (serial ${token.info.serialNumber})`;
  const soSession = step(
    `${name} is initialised with the SO PIN and has no user PIN`,
    () => setUserPin(token, pins),
    { needsUserPin: true },
  );
  step(`${name} is initialised and its user PIN is set, but no login has proven it`, () => {
    logout(soSession);
    logout(login(token.slot, pins.user));
  });
  return token;
}

/** @returns the session, which is logged in as security officer */
function setUserPin({ slot }: FoundToken, pins: NewPins): Session {
  const session = openSession(slot);
  const { lib, handle } = session;
  ck('C_Login', () => lib.C_Login(handle, pkcs11js.CKU_SO, pins.so));
  ck('C_InitPIN', () => lib.C_InitPIN(handle, pins.user));
  return session;
}

/** Runs a step; its failure tells what the steps before have left. */
function step<Result>(state: string, work: () => Result, { needsUserPin = false } = {}): Result {
  try {
    return work();
  } catch (error) {
    const cause = plainFailure(error);
    if (!cause) throw error;
    throw new InitializationFailure(cause, state, needsUserPin);
  }
}
