import { resolve } from 'node:path';
import { type TokenModule, withModule } from '../pkcs11/module.ts';
import { describeToken, summarizeToken } from '../pkcs11/token-report.ts';
import { presentTokens, selectToken } from '../pkcs11/token-selection.ts';
import type { CommandResult } from './invocation.ts';
import { readNewPins } from './pin-input.ts';
import {
  type NewTokenDocument,
  newTokenText,
  tokenDetailsText,
  tokenListText,
} from './token-documents.ts';
import { tokenFailure } from './token-failure.ts';
import { assertPinLengths, findFreeSlot, initToken, parseLabel } from './token-provisioning.ts';

export interface InitOptions {
  readonly module: string;
  readonly label: string;
  readonly soPinFile?: string;
  readonly soPinFd?: number;
  readonly pinFile?: string;
  readonly pinFd?: number;
}

export interface InfoOptions {
  readonly module: string;
  readonly label: string;
  readonly serial?: string;
}

/** `token init`. The token is looked at before anybody is asked for a PIN. */
export async function createToken(options: InitOptions): Promise<CommandResult> {
  const label = parseLabel(options.label);
  const { serial } = await onModule(options.module, async (module) => {
    const free = findFreeSlot(module, label);
    const pins = await readNewPins(
      { name: 'SO PIN', file: options.soPinFile, fd: options.soPinFd },
      { name: 'user PIN', file: options.pinFile, fd: options.pinFd },
    );
    assertPinLengths(free, pins);
    return summarizeToken(initToken(module, free, label, pins));
  });
  const document: NewTokenDocument = {
    label,
    serial,
    module: resolve(options.module),
    pinFile: options.pinFile === undefined ? undefined : resolve(options.pinFile),
  };
  return { document, text: newTokenText(document) };
}

/** `token list` */
export async function listTokens(module: string): Promise<CommandResult> {
  const tokens = await onModule(module, (loaded) => presentTokens(loaded).map(summarizeToken));
  return { document: { tokens }, text: tokenListText(tokens) };
}

/** `token info` */
export async function showToken({ module, label, serial }: InfoOptions): Promise<CommandResult> {
  const document = await onModule(module, (loaded) =>
    describeToken(selectToken(loaded, { label, serial })),
  );
  return { document, text: tokenDetailsText(document) };
}

/** @throws {CommandFailure} also for what the module or the token refuses */
async function onModule<Result>(
  file: string,
  work: (module: TokenModule) => Result | Promise<Result>,
): Promise<Result> {
  try {
    return await withModule(resolve(file), work);
  } catch (error) {
    throw tokenFailure(error);
  }
}
