import { type Command, Option } from 'commander';
import { ALGORITHM_NAMES } from '../domain/algorithm.ts';
import { addDaemonOptions, addressOf } from './daemon-options.ts';
import { addCommand, addGroup, type Invocation, integer, printing } from './invocation.ts';
import type { CreateOptions, ListOptions, ShowOptions } from './key-actions.ts';

/** The wire has 32 bits for a version. */
export const MAX_VERSION_NUMBER = 0xffff_ffff;

const CREATE = 'sigilctl key create webhooks --algorithm HMAC_SHA256';

export function addKeyCommands(program: Command, invocation: Invocation): void {
  const key = addGroup(program, 'key', 'make keys through the daemon and look at them', [
    CREATE,
    'sigilctl key list',
    'sigilctl key show webhooks',
  ]);
  addCreate(key, invocation);
  addList(key, invocation);
  addShow(key, invocation);
}

function addCreate(key: Command, invocation: Invocation): void {
  const command = addCommand(
    key,
    'create <name>',
    'generate a key inside the token; its value never leaves it',
    [CREATE, `${CREATE} -o json`, `${CREATE} --request-id 7d444840-9dc0-11d1-b245-5ffdce74fad2`],
  )
    .addOption(
      new Option('--algorithm <algorithm>', 'what the key is for')
        .choices(ALGORITHM_NAMES)
        .makeOptionMandatory(),
    )
    .option(
      '--request-id <id>',
      'makes the command safe to repeat: the same id, the same key (default: a fresh UUID)',
    );
  addDaemonOptions(command).action(
    printing(invocation, async (name: string, options: CreateOptions) => {
      const { createKey } = await import('./key-actions.ts');
      return createKey(addressOf(options, invocation), name, options);
    }),
  );
}

function addList(key: Command, invocation: Invocation): void {
  const command = addCommand(key, 'list', 'list the keys that this client may list', [
    'sigilctl key list',
    "sigilctl key list -o json | jq -r '.keys[].name'",
  ]);
  addDaemonOptions(command).action(
    printing(invocation, async (options: ListOptions) => {
      const { listKeys } = await import('./key-actions.ts');
      return listKeys(addressOf(options, invocation), options);
    }),
  );
}

function addShow(key: Command, invocation: Invocation): void {
  const command = addCommand(
    key,
    'show <name>',
    'show a key, its versions and what the token reports of them',
    ['sigilctl key show webhooks', 'sigilctl key show webhooks --version 1 -o json'],
  ).option('--version <n>', 'this version alone', integer(1, MAX_VERSION_NUMBER));
  addDaemonOptions(command).action(
    printing(invocation, async (name: string, options: ShowOptions) => {
      const { showKey } = await import('./key-actions.ts');
      return showKey(addressOf(options, invocation), name, options);
    }),
  );
}
