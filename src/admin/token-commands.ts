import { type Command, Option } from 'commander';
import { usageFailure } from './command-failure.ts';
import { addDaemonOptions, addressOf, type DaemonOptions } from './daemon-options.ts';
import { fdOption } from './fd-option.ts';
import { addCommand, addGroup, type Invocation, printing } from './invocation.ts';
import type { InfoOptions, InitOptions } from './token-actions.ts';

const MODULE = '/usr/lib/softhsm/libsofthsm2.so';
const INIT = `sigilctl token init --label prod --module ${MODULE}`;
const LIST = `sigilctl token list --module ${MODULE}`;
const INFO = `sigilctl token info --module ${MODULE} --label prod`;

const INIT_DESCRIPTION =
  'initialise an empty token: its label, its SO PIN and its user PIN\n\n' +
  'A PIN comes from a file that nobody else may read, from a file descriptor (one line; the SO ' +
  'PIN first where both come from one descriptor), or else from a hidden prompt on the terminal.';

const INFO_DESCRIPTION =
  "show a token's state, its limits and what it can do for sigild\n\n" +
  'Without --module the daemon tells of the token that it uses. With it, the token is looked at ' +
  'straight on the PKCS#11 module; with the user PIN, which is tried once, it is also measured ' +
  'whether copies of keys (warm keys) sign faster than the keys themselves, as a daemon does that is ' +
  'configured with warmKeys: auto, and which attributes of keys the token enforces. Nothing is ' +
  'changed on the token.';

/** What says something of a token in a module, and nothing of a daemon's. */
const MODULE_OPTIONS = ['label', 'serial', 'login', 'pinFile', 'pinFd'] as const;

type AnyInfoOptions = DaemonOptions & Partial<InfoOptions>;

/** The commands that talk to the PKCS#11 module; none but them load it. */
export function addTokenCommands(program: Command, invocation: Invocation): void {
  const token = addGroup(program, 'token', 'make tokens and look at them', [
    LIST,
    `${INIT} --so-pin-file so-pin --pin-file pin`,
  ]);
  addInit(token, invocation);
  addList(token, invocation);
  addInfo(token, invocation);
}

function addInit(token: Command, invocation: Invocation): void {
  addCommand(token, 'init', INIT_DESCRIPTION, [
    `${INIT} --so-pin-file so-pin --pin-file pin`,
    `${INIT}   # asks for both PINs`,
    `${INIT} --so-pin-fd 3 --pin-fd 4 3<so-pin 4<pin`,
  ])
    .summary('initialise an empty token')
    .requiredOption('--label <label>', "the new token's label, which no other token has")
    .requiredOption('--module <path>', 'the PKCS#11 library')
    .option('--so-pin-file <file>', 'file with the new SO PIN, mode 0600')
    .option('--pin-file <file>', 'file with the new user PIN, mode 0600')
    .addOption(fdOption('--so-pin-fd <n>', 'descriptor to read the SO PIN from', 'soPinFile'))
    .addOption(fdOption('--pin-fd <n>', 'descriptor to read the user PIN from', 'pinFile'))
    .action(
      printing(invocation, async (options: InitOptions) => {
        const { createToken } = await import('./token-actions.ts');
        return createToken(options);
      }),
    );
}

function addList(token: Command, invocation: Invocation): void {
  addCommand(token, 'list', 'list the tokens of a module, the empty ones too', [
    LIST,
    `${LIST} -o json | jq -r '.tokens[].label'`,
  ])
    .requiredOption('--module <path>', 'the PKCS#11 library')
    .action(
      printing(invocation, async ({ module }: { readonly module: string }) => {
        const { listTokens } = await import('./token-actions.ts');
        return listTokens(module);
      }),
    );
}

function addInfo(token: Command, invocation: Invocation): void {
  const command = addCommand(token, 'info', INFO_DESCRIPTION, [
    'sigilctl token info   # the token of the daemon',
    INFO,
    `${INFO} -o json`,
    `${INFO} --pin-file pin`,
    `${INFO} --login   # asks for the user PIN`,
  ])
    .summary('show a token, and what it can do for sigild')
    .addOption(
      new Option('--module <path>', 'the PKCS#11 library, to ask no daemon').conflicts([
        'address',
        'ca',
        'cert',
        'keyFile',
        'timeoutMs',
      ]),
    )
    .option('--label <label>', "the token's label")
    .option('--serial <serial>', "the token's serial number, where several have one label")
    .option('--login', 'log in, with a PIN from the terminal unless an option names another place')
    .option('--pin-file <file>', 'file with the user PIN, mode 0600')
    .addOption(fdOption('--pin-fd <n>', 'descriptor to read the user PIN from', 'pinFile'));
  addDaemonOptions(command).action(
    printing(invocation, async (options: AnyInfoOptions) => {
      if (isOfModule(options)) {
        const { showToken } = await import('./token-actions.ts');
        return showToken(options);
      }
      const { showServedToken } = await import('./served-token-actions.ts');
      return showServedToken(addressOf(options, invocation), options);
    }),
  );
}

/** @throws {CommandFailure} USAGE when it is neither a module's token nor a daemon's */
function isOfModule(options: AnyInfoOptions): options is DaemonOptions & InfoOptions {
  if (options.module === undefined) {
    const given = MODULE_OPTIONS.some((option) => options[option] !== undefined);
    if (!given) return false;
    throw usageFailure('--module is not given', 'without it, the daemon tells of its own token');
  }
  if (options.label !== undefined) return true;
  throw usageFailure('--label is not given', 'sigilctl token list shows the labels of a module');
}
