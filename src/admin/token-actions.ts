import { resolve } from 'node:path';
import {
  describeToken,
  measureToken,
  summarizeToken,
  type TokenMeasurements,
} from '../pkcs11/token-report.ts';
import { presentTokens } from '../pkcs11/token-selection.ts';
import type { CommandResult } from './invocation.ts';
import { onModule, onToken } from './on-module.ts';
import { readNewPins, readUserPin } from './pin-input.ts';
import {
  type NewTokenDocument,
  newTokenText,
  tokenDetailsText,
  tokenListText,
} from './token-documents.ts';
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
  readonly login?: boolean;
  readonly pinFile?: string;
  readonly pinFd?: number;
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

const NOT_MEASURED: TokenMeasurements = {
  warmKeys: {
    inUse: undefined,
    why: 'measuring needs a login: give --pin-file, --pin-fd or --login',
  },
  attributes: undefined,
  records: undefined,
};

/** `token info` of a token in a module. The token is looked at before anybody is asked for its PIN. */
export async function showToken(options: InfoOptions): Promise<CommandResult> {
  const { module, label, serial } = options;
  const document = await onToken(module, { label, serial }, async (token) => {
    const details = describeToken(token);
    const pin = await givenPin(options);
    return { ...details, ...(pin === undefined ? NOT_MEASURED : measureToken(token, pin)) };
  });
  return { document, text: tokenDetailsText(document) };
}

/** @returns undefined where no login is asked for */
async function givenPin({ login = false, pinFile, pinFd }: InfoOptions) {
  if (!login && pinFile === undefined && pinFd === undefined) return undefined;
  return readUserPin({ name: 'user PIN', file: pinFile, fd: pinFd });
}
