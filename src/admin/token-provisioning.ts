import { ck } from '../pkcs11/ck-rv.ts';
import { login, openSession } from '../pkcs11/login.ts';
import { type FoundToken, selectToken } from '../pkcs11/token-selection.ts';
import { CommandFailure, usageFailure } from './command-failure.ts';
import type { NewPins } from './pin-input.ts';
import {
  asCommandFailure,
  hasFlag,
  presentTokens,
  TOKEN_FLAGS,
  type TokenInfo,
  type TokenModule,
} from './token-module.ts';

/** CK_TOKEN_INFO has 32 bytes for a label, filled up with blanks and without a zero at the end. */
const LABEL_BYTES = 32;

/** CKU_SO. */
const SECURITY_OFFICER = 0;

/**
 * @returns the label
 * @throws {CommandFailure} USAGE for one that a token would not give back as it is
 */
export function parseLabel(label: string): string {
  const isWhole = label !== '' && label.trim() === label && !/\p{Cc}/u.test(label);
  if (isWhole && Buffer.byteLength(label) <= LABEL_BYTES) return label;
  throw usageFailure(
    `a label has 1 to ${LABEL_BYTES} bytes of UTF-8, without control characters and without ` +
      'blanks at its ends',
  );
}

/**
 * Finds where a new token can be made.
 *
 * @throws {CommandFailure} TOKEN_EXISTS when a token has the label already, NO_FREE_SLOT
 */
export function findFreeSlot(module: TokenModule, label: string): FoundToken {
  const tokens = presentTokens(module);
  const namesake = tokens.find(({ info }) => isInitialized(info) && info.label === label);
  if (namesake) {
    throw new CommandFailure(
      'TOKEN_EXISTS',
      `a token labelled "${label}" exists already (serial ${namesake.info.serialNumber})`,
      {
        nextStep:
          'use that token, or choose another --label; sigilctl erases no token, ' +
          "the vendor's tool does",
      },
    );
  }
  const free = tokens.find(({ info }) => !isInitialized(info));
  if (free) return free;
  throw new CommandFailure(
    'NO_FREE_SLOT',
    `every token of ${module.libFile} is initialised already (${tokens.length} found)`,
    { nextStep: "make an empty slot or partition with the vendor's tool, then run this again" },
  );
}

/**
 * Refuses PINs that the token would refuse, before anything is changed.
 *
 * @throws {CommandFailure} CONFIGURATION
 */
export function assertPinLengths({ minPinLen, maxPinLen }: TokenInfo, pins: NewPins): void {
  for (const [name, pin] of Object.entries({ 'SO PIN': pins.so, 'user PIN': pins.user })) {
    const bytes = Buffer.byteLength(pin);
    if (bytes >= minPinLen && (maxPinLen === 0 || bytes <= maxPinLen)) continue;
    throw new CommandFailure(
      'CONFIGURATION',
      `the ${name} has ${bytes} bytes; this token takes ${minPinLen} to ${maxPinLen}; ` +
        'nothing was changed',
    );
  }
}

/**
 * Initialises a token, sets its user PIN and proves it by a login. A failure says what state the
 * token is left in.
 *
 * @returns the token as it is found afterwards
 * @throws {CommandFailure}
 */
export function initToken(
  module: TokenModule,
  { slot }: FoundToken,
  label: string,
  pins: NewPins,
): FoundToken {
  // pkcs11js 2.1.7 passes the label's bytes on as they are, and the module reads 32 of them.
  const padded = label + ' '.repeat(LABEL_BYTES - Buffer.byteLength(label));
  stage('nothing was changed', () =>
    ck('C_InitToken', () => slot.lib.C_InitToken(slot.handle, pins.so, padded)),
  );
  // SoftHSM 2.6 gives an initialised token another slot, at the latest to the next process.
  const token = stage(`a token "${label}" was initialised and has no user PIN`, () => {
    const { serialNumber } = ck('C_GetTokenInfo', () => slot.getToken());
    return selectToken(module, { label, serial: serialNumber || undefined });
  });
  const name = `the token "${label}" (serial ${token.info.serialNumber})`;
  const soSession = stage(
    `${name} is initialised with the SO PIN and has no user PIN`,
    () => setUserPin(token, pins),
    'set one with: pkcs11-tool --login --login-type so --init-pin, with --module and ' +
      '--token-label; or erase the token and run this again',
  );
  stage(`${name} is initialised and its user PIN is set, but no login has proven it`, () => {
    ck('C_Logout', () => soSession.logout());
    const session = login(token.slot, pins.user);
    ck('C_Logout', () => session.logout());
  });
  return token;
}

/** @returns the session, which is logged in as security officer */
function setUserPin({ slot }: FoundToken, pins: NewPins): ReturnType<typeof openSession> {
  const session = openSession(slot);
  ck('C_Login', () => session.login(pins.so, SECURITY_OFFICER));
  ck('C_InitPIN', () => session.initPin(pins.user));
  return session;
}

/** Runs a step; its failure tells what the steps before have left. */
function stage<Result>(state: string, step: () => Result, nextStep?: string): Result {
  try {
    return step();
  } catch (error) {
    const failure = asCommandFailure(error);
    if (!(failure instanceof CommandFailure)) throw failure;
    throw new CommandFailure(failure.reason, `${failure.message}; ${state}`, {
      nextStep,
      cause: error,
    });
  }
}

function isInitialized({ flags }: TokenInfo): boolean {
  return hasFlag(flags, TOKEN_FLAGS.tokenInitialized);
}
