import { resolve } from 'node:path';
import type { TokenSelector } from '../domain/token-options.ts';
import { type TokenModule, withModule } from '../pkcs11/module.ts';
import { withToken } from '../pkcs11/token-search.ts';
import type { FoundToken } from '../pkcs11/token-selection.ts';
import { tokenFailure } from './token-failure.ts';

/** @throws {CommandFailure} also for what the module or the token refuses */
export async function onModule<Result>(
  file: string,
  work: (module: TokenModule) => Result | Promise<Result>,
): Promise<Result> {
  try {
    return await withModule(resolve(file), work);
  } catch (error) {
    throw tokenFailure(error);
  }
}

/** @throws {CommandFailure} also for what the module or the token refuses */
export async function onToken<Result>(
  file: string,
  selector: TokenSelector,
  work: (token: FoundToken) => Result | Promise<Result>,
): Promise<Result> {
  try {
    return await withToken(resolve(file), selector, work);
  } catch (error) {
    throw tokenFailure(error);
  }
}
