import { accessSync, constants } from 'node:fs';
import { Module } from 'graphene-pk11';
import pkcs11js from 'pkcs11js';
import { StartFailure } from '../service/start-failure.ts';
import { ck, plainFailure } from './ck-rv.ts';

/** A PKCS#11 module that this process has loaded. */
export type TokenModule = Module;

/**
 * Loads a PKCS#11 module and initialises it for calls from several threads.
 *
 * Without CKF_OS_LOCKING_OK, which graphene-pk11 2.3.6 leaves out by default, calls from several
 * threads corrupt the heap.
 *
 * @param file absolute path of the module
 * @throws {StartFailure} configuration when it cannot be loaded, unavailable when it does not initialise
 */
export function initializeModule(file: string): TokenModule {
  const module = loadModule(file);
  try {
    ck('C_Initialize', () => module.initialize({ flags: pkcs11js.CKF_OS_LOCKING_OK }));
  } catch (error) {
    throw new StartFailure('unavailable', `PKCS#11 module ${file}: ${messageOf(error)}`, error);
  }
  return module;
}

/**
 * Runs work on a module and finalises it afterwards.
 *
 * @param file absolute path of the module
 * @throws {StartFailure} as {@link initializeModule}
 * @throws {SigildError} for what the token refuses
 */
export async function withModule<Result>(
  file: string,
  work: (module: TokenModule) => Result | Promise<Result>,
): Promise<Result> {
  const module = initializeModule(file);
  return await finalizing(module, () => work(module));
}

/**
 * Runs work on a module that has been initialised, and finalises it afterwards.
 *
 * @throws {SigildError} for what the token refuses
 */
export async function finalizing<Result>(
  module: TokenModule,
  work: () => Result | Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw plainFailure(error) ?? error;
  } finally {
    module.finalize();
  }
}

/** @throws {StartFailure} configuration */
function loadModule(file: string): TokenModule {
  try {
    accessSync(file, constants.R_OK);
  } catch (error) {
    throw new StartFailure(
      'configuration',
      `PKCS#11 module ${file} cannot be read: ${messageOf(error)}; ` +
        'for sigilctl check --module, for the daemon check token.module',
      error,
    );
  }
  try {
    return Module.load(file);
  } catch (error) {
    throw new StartFailure(
      'configuration',
      `PKCS#11 module ${file} cannot be loaded: ${messageOf(error)}; is it a PKCS#11 library ` +
        'for this machine?',
      error,
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
