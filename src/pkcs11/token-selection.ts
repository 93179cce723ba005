import type { Slot, Token } from 'graphene-pk11';
import pkcs11js from 'pkcs11js';
import type { TokenSelector } from '../domain/token-options.ts';
import { StartFailure } from '../service/start-failure.ts';
import { CryptokiError, ck } from './ck-rv.ts';
import type { TokenModule } from './module.ts';

export interface FoundToken {
  readonly slot: Slot;
  readonly info: Token;
}

/** Every token that is present and readable, initialised or not. @throws {CryptokiError} */
export function presentTokens(module: TokenModule): FoundToken[] {
  const slots = ck('C_GetSlotList', () => [...module.getSlots(true)]);
  return slots.flatMap((slot) => {
    const info = tokenInfo(slot);
    return info ? [{ slot, info }] : [];
  });
}

/** A card in another slot that the module does not know must not hide the others. */
function tokenInfo(slot: Slot): Token | undefined {
  try {
    return ck('C_GetTokenInfo', () => slot.getToken());
  } catch (error) {
    const noToken =
      error instanceof CryptokiError &&
      (error.rv === pkcs11js.CKR_TOKEN_NOT_RECOGNIZED ||
        error.rv === pkcs11js.CKR_TOKEN_NOT_PRESENT);
    if (noToken) return undefined;
    throw error;
  }
}

export function isInitialized({ info }: FoundToken): boolean {
  return (info.flags & pkcs11js.CKF_TOKEN_INITIALIZED) !== 0;
}

/**
 * Finds the one initialised token that a selector names.
 *
 * @throws {StartFailure} unavailable when no token matches, configuration when several do; the
 *   message lists the tokens that were found
 */
export function selectToken(module: TokenModule, selector: TokenSelector): FoundToken {
  const tokens = presentTokens(module).filter(isInitialized);
  const matches = tokens.filter(({ info }) => matchesSelector(info, selector));
  const [only] = matches;
  if (only && matches.length === 1) return only;
  const found = tokens.map(({ info }) => describe(info)).join(', ') || 'none';
  if (!only) {
    throw new StartFailure(
      'unavailable',
      `no token has ${wanted(selector)}; tokens found in ${module.libFile}: ${found}`,
    );
  }
  throw new StartFailure(
    'configuration',
    `${matches.length} tokens have ${wanted(selector)}: name one by its serial; ` +
      `tokens found in ${module.libFile}: ${found}`,
  );
}

function matchesSelector(info: Token, selector: TokenSelector): boolean {
  return (
    (selector.label === undefined || info.label === selector.label) &&
    (selector.serial === undefined || info.serialNumber === selector.serial) &&
    (selector.manufacturer === undefined || info.manufacturerID === selector.manufacturer) &&
    (selector.model === undefined || info.model === selector.model)
  );
}

function wanted(selector: TokenSelector): string {
  return Object.entries(selector)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} "${value}"`)
    .join(' and ');
}

function describe(info: Token): string {
  return `"${info.label}" (serial ${info.serialNumber}, ${info.model})`;
}
