import { type Command, Option } from 'commander';
import { addCommand, addGroup, type Invocation, integer, printing } from './invocation.ts';
import type { InfoOptions, InitOptions } from './token-actions.ts';

const MAX_FD = 65_535;

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
  'With the user PIN, which is tried once, it also measures whether copies of keys (warm keys) sign ' +
  'faster than the keys themselves, as a daemon does that is configured with warmKeys: auto. ' +
  'Nothing is changed on the token.';

/** The commands that talk to the PKCS#11 module; no others load it. */
export function addTokenCommands(program: Command, invocation: Invocation): void {
  const token = addGroup(
    program,
    'token',
    'make tokens and look at them, straight on the PKCS#11 module',
    [LIST, `${INIT} --so-pin-file so-pin --pin-file pin`],
  );
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
  addCommand(token, 'info', INFO_DESCRIPTION, [
    INFO,
    `${INFO} -o json`,
    `${INFO} --pin-file pin`,
    `${INFO} --login   # asks for the user PIN`,
  ])
    .summary('show a token, and what it can do for sigild')
    .requiredOption('--module <path>', 'the PKCS#11 library')
    .requiredOption('--label <label>', "the token's label")
    .option('--serial <serial>', "the token's serial number, where several have one label")
    .option('--login', 'log in, with a PIN from the terminal unless an option names another place')
    .option('--pin-file <file>', 'file with the user PIN, mode 0600')
    .addOption(fdOption('--pin-fd <n>', 'descriptor to read the user PIN from', 'pinFile'))
    .action(
      printing(invocation, async (options: InfoOptions) => {
        const { showToken } = await import('./token-actions.ts');
        return showToken(options);
      }),
    );
}

function fdOption(flags: string, description: string, conflict: string): Option {
  return new Option(flags, description).argParser(integer(0, MAX_FD)).conflicts(conflict);
}
