import { resolve } from 'node:path';
import { CryptokiError, ck } from '../pkcs11/ck-rv.ts';
import { initializeModule } from '../pkcs11/module.ts';
import type { FoundToken } from '../pkcs11/token-selection.ts';
import { StartFailure, type StartFailureKind } from '../service/start-failure.ts';
import { CommandFailure } from './command-failure.ts';

export type TokenModule = ReturnType<typeof initializeModule>;
export type TokenSlot = FoundToken['slot'];
export type TokenInfo = FoundToken['info'];

/** Bits of a token's flags: CKF_ values of CK_TOKEN_INFO. */
export const TOKEN_FLAGS = {
  userPinInitialized: 0x8,
  tokenInitialized: 0x400,
  userPinCountLow: 0x1_0000,
  userPinFinalTry: 0x2_0000,
  userPinLocked: 0x4_0000,
} as const;

export function hasFlag(flags: number, flag: number): boolean {
  return (flags & flag) !== 0;
}

const REASON_OF_KIND = {
  configuration: 'CONFIGURATION',
  unavailable: 'TOKEN_UNAVAILABLE',
  'wrong-pin': 'WRONG_PIN',
  'wrong-token': 'TOKEN_UNAVAILABLE',
} as const satisfies Record<StartFailureKind, string>;

/**
 * Runs work on a PKCS#11 module and finalises it afterwards.
 *
 * @throws {CommandFailure} also for what the module or the token refuses
 */
export async function withModule<Result>(
  file: string,
  work: (module: TokenModule) => Result | Promise<Result>,
): Promise<Result> {
  try {
    const module = initializeModule(resolve(file));
    try {
      return await work(module);
    } finally {
      module.finalize();
    }
  } catch (error) {
    throw asCommandFailure(error);
  }
}

/** Every token that is present, initialised or not. */
export function presentTokens(module: TokenModule): FoundToken[] {
  const slots = ck('C_GetSlotList', () => module.getSlots(true));
  return [...slots].map((slot) => ({ slot, info: ck('C_GetTokenInfo', () => slot.getToken()) }));
}

/** @returns what is no failure of the module or the token as it is */
export function asCommandFailure(error: unknown): unknown {
  if (error instanceof StartFailure) {
    return new CommandFailure(REASON_OF_KIND[error.kind], error.message, { cause: error });
  }
  if (error instanceof CryptokiError) {
    const { next, reason } = error.verdict;
    return new CommandFailure(next === 'wrong-pin' ? 'WRONG_PIN' : reason, error.message, {
      cause: error,
    });
  }
  return error;
}
