import { resolve } from 'node:path';
import { type TokenModule, withModule } from '../pkcs11/module.ts';
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
