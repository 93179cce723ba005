import type { TokenSelector } from '../domain/token-options.ts';
import { StartFailure } from '../service/start-failure.ts';
import { CryptokiError, ck } from './ck-rv.ts';
import { finalizing, initializeModule, type TokenModule } from './module.ts';
import { pause } from './pause.ts';
import { type FoundToken, selectToken } from './token-selection.ts';

export interface OpenToken {
  readonly module: TokenModule;
  readonly token: FoundToken;
}

/** How often a process looks for its token, and how long it waits in between. */
const LOOKS = 3;
const LOOK_INTERVAL_MS = 100;

/**
 * Loads a module and finds the one initialised token that a selector names.
 *
 * A module is initialised anew to look again: SoftHSM 2.6 empties and writes a token's file at every
 * login, and who initialises in between finds no token for as long as the module is in use.
 *
 * @param file absolute path of the module
 * @throws {StartFailure} as {@link initializeModule} and {@link selectToken}, and unavailable for what
 *   the module refuses
 */
export function openToken(file: string, selector: TokenSelector): OpenToken {
  for (let looks = 1; ; looks += 1) {
    const module = initializeModule(file);
    try {
      return { module, token: selectToken(module, selector) };
    } catch (error) {
      const failure = asStartFailure(error);
      const isFree = tryFinalize(module);
      if (!isFree || looks === LOOKS || failure.kind !== 'unavailable') throw failure;
    }
    pause(LOOK_INTERVAL_MS);
  }
}

/** @returns whether the module may be initialised again */
function tryFinalize(module: TokenModule): boolean {
  try {
    ck('C_Finalize', () => module.finalize());
    return true;
  } catch (error) {
    if (!(error instanceof CryptokiError)) throw error;
    return false;
  }
}

function asStartFailure(error: unknown): StartFailure {
  if (error instanceof StartFailure) return error;
  if (!(error instanceof CryptokiError)) throw error;
  return new StartFailure('unavailable', `the token cannot be used: ${error.message}`, error);
}

/**
 * Runs work on a token and finalises its module afterwards.
 *
 * @param file absolute path of the module
 * @throws {StartFailure} as {@link openToken}
 * @throws {SigildError} for what the token refuses
 */
export async function withToken<Result>(
  file: string,
  selector: TokenSelector,
  work: (token: FoundToken) => Result | Promise<Result>,
): Promise<Result> {
  const { module, token } = openToken(file, selector);
  return await finalizing(module, () => work(token));
}
