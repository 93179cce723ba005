import { resolve } from 'node:path';
import { selectToken } from '../pkcs11/token-selection.ts';
import type { CommandResult } from './invocation.ts';
import { fields } from './layout.ts';
import { readNewPins } from './pin-input.ts';
import { presentTokens, withModule } from './token-module.ts';
import { assertPinLengths, findFreeSlot, initToken, parseLabel } from './token-provisioning.ts';
import { describeToken, summarize } from './token-report.ts';
import { tokenDetailsText, tokenListText } from './token-text.ts';

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
  const { info } = await withModule(options.module, async (module) => {
    const free = findFreeSlot(module, label);
    const pins = await readNewPins(
      { name: 'SO PIN', file: options.soPinFile, fd: options.soPinFd },
      { name: 'user PIN', file: options.pinFile, fd: options.pinFd },
    );
    assertPinLengths(free.info, pins);
    return initToken(module, free, label, pins);
  });
  const document = {
    label,
    serial: info.serialNumber,
    module: resolve(options.module),
    pinFile: options.pinFile === undefined ? undefined : resolve(options.pinFile),
  };
  return { document, text: newTokenText(document) };
}

/** `token list` */
export async function listTokens(module: string): Promise<CommandResult> {
  const tokens = await withModule(module, (loaded) =>
    presentTokens(loaded).map(({ info }) => summarize(info)),
  );
  return { document: { tokens }, text: tokenListText(tokens) };
}

/** `token info` */
export async function showToken({ module, label, serial }: InfoOptions): Promise<CommandResult> {
  const document = await withModule(module, (loaded) =>
    describeToken(selectToken(loaded, { label, serial })),
  );
  return { document, text: tokenDetailsText(document) };
}

/** `token init -o json` */
interface NewTokenDocument {
  readonly label: string;
  readonly serial: string;
  /** Absolute paths. */
  readonly module: string;
  /** Absent where the user PIN came from elsewhere. */
  readonly pinFile: string | undefined;
}

function newTokenText({ label, serial, module, pinFile }: NewTokenDocument): string {
  // A JSON string is a YAML string too.
  const pinLine =
    pinFile === undefined
      ? 'pinFile: # the absolute path of a file with the user PIN, mode 0600'
      : `pinFile: ${JSON.stringify(pinFile)}`;
  return [
    fields({ label, serial, module }),
    "For the daemon's configuration:",
    '',
    'token:',
    `  module: ${JSON.stringify(module)}`,
    `  label: ${JSON.stringify(label)}`,
    `  ${pinLine}`,
    '',
  ].join('\n');
}
