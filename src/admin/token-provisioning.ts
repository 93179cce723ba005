import type { TokenModule } from '../pkcs11/module.ts';
import {
  InitializationFailure,
  initializeToken,
  LABEL_BYTES,
  type NewPins,
} from '../pkcs11/token-initialization.ts';
import { pinLimits, summarizeToken } from '../pkcs11/token-report.ts';
import { type FoundToken, isInitialized, presentTokens } from '../pkcs11/token-selection.ts';
import { CommandFailure, usageFailure } from './command-failure.ts';
import { reasonOf } from './token-failure.ts';

const SET_USER_PIN =
  'set one with: pkcs11-tool --login --login-type so --init-pin, with --module and ' +
  '--token-label; or erase the token and run this again';

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
  const initialized = tokens.filter(isInitialized).map(summarizeToken);
  const namesake = initialized.find((token) => token.label === label);
  if (namesake) {
    throw new CommandFailure(
      'TOKEN_EXISTS',
      `a token labelled "${label}" exists already (serial ${namesake.serial})`,
      {
        nextStep:
          'use that token, or choose another --label; sigilctl erases no token, ' +
          "the vendor's tool does",
      },
    );
  }
  const free = tokens.find((token) => !isInitialized(token));
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
export function assertPinLengths(token: FoundToken, pins: NewPins): void {
  const { minPinBytes, maxPinBytes } = pinLimits(token);
  for (const [name, pin] of Object.entries({ 'SO PIN': pins.so, 'user PIN': pins.user })) {
    const bytes = Buffer.byteLength(pin);
    if (bytes >= minPinBytes && (maxPinBytes === 0 || bytes <= maxPinBytes)) continue;
    throw new CommandFailure(
      'CONFIGURATION',
      `the ${name} has ${bytes} bytes; this token takes ${minPinBytes} to ${maxPinBytes}; ` +
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
  free: FoundToken,
  label: string,
  pins: NewPins,
): FoundToken {
  try {
    return initializeToken(module, free, label, pins);
  } catch (error) {
    if (!(error instanceof InitializationFailure)) throw error;
    throw new CommandFailure(reasonOf(error.cause), error.message, {
      nextStep: error.needsUserPin ? SET_USER_PIN : undefined,
      cause: error,
    });
  }
}
