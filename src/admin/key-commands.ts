import { type Command, Option } from 'commander';
import { ALGORITHM_NAMES } from '../domain/algorithm.ts';
import type { UsageState } from '../domain/key-state.ts';
import { addChangeOptions, addDaemonOptions, addressOf } from './daemon-options.ts';
import { addDestructionCommands } from './destruction-commands.ts';
import { addImport } from './import-command.ts';
import { addCommand, addGroup, duration, type Invocation, printing } from './invocation.ts';
import type {
  CreateOptions,
  ListOptions,
  RotateOptions,
  ShowOptions,
  StateOptions,
  UpdateOptions,
} from './key-actions.ts';
import { versionNumber } from './version-number.ts';

/** The commands that give a version a state. */
const STATE_COMMANDS = [
  {
    verb: 'suspend',
    state: 'SUSPENDED',
    does: 'let a version neither sign nor verify, until it is activated again',
  },
  { verb: 'activate', state: 'ACTIVE', does: 'let a suspended version sign and verify again' },
  {
    verb: 'deactivate',
    state: 'DEACTIVATED',
    does: 'let a version verify what it signed, and never sign again',
  },
] as const satisfies readonly { verb: string; state: UsageState; does: string }[];

const CREATE = 'sigilctl key create webhooks --algorithm HMAC_SHA256';

/** @returns the group of the commands for keys */
export function addKeyCommands(program: Command, invocation: Invocation): Command {
  const key = addGroup(program, 'key', 'make, import, rotate and show keys through the daemon', [
    CREATE,
    'sigilctl key import partner --algorithm HMAC_SHA1 --format text --secret-file F',
    'sigilctl key list',
    'sigilctl key show webhooks',
    'sigilctl key rotate webhooks',
    'sigilctl key update webhooks --rotation-period 90d',
    'sigilctl key suspend webhooks --version 2',
    'sigilctl key destroy webhooks --version 2',
  ]);
  addCreate(key, invocation);
  addImport(key, invocation);
  addList(key, invocation);
  addShow(key, invocation);
  addRotate(key, invocation);
  addUpdate(key, invocation);
  for (const command of STATE_COMMANDS) addState(key, command, invocation);
  addDestructionCommands(key, invocation);
  return key;
}

function addCreate(key: Command, invocation: Invocation): void {
  const command = addCommand(
    key,
    'create <name>',
    'generate a key inside the token; its value never leaves it',
    [
      CREATE,
      `${CREATE} --rotation-period 90d --indestructible`,
      `${CREATE} --request-id 7d444840-9dc0-11d1-b245-5ffdce74fad2 -o json`,
    ],
  )
    .addOption(
      new Option('--algorithm <algorithm>', 'what the key is for')
        .choices(ALGORITHM_NAMES)
        .makeOptionMandatory(),
    )
    .option(
      '--rotation-period <duration>',
      'have the daemon rotate it when its newest version is as old as this, 90d for instance',
      duration,
    )
    .option('--indestructible', 'never destroy any of its versions; that cannot be changed')
    .option(
      '--request-id <id>',
      'makes the command safe to repeat: the same id, the same key (default: a fresh UUID)',
    )
    .option('--reuse-name', 'take a name again of which all versions have been destroyed');
  addChangeOptions(command).action(
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
  ).option('--version <n>', 'this version alone', versionNumber);
  addDaemonOptions(command).action(
    printing(invocation, async (name: string, options: ShowOptions) => {
      const { showKey } = await import('./key-actions.ts');
      return showKey(addressOf(options, invocation), name, options);
    }),
  );
}

function addRotate(key: Command, invocation: Invocation): void {
  const command = addCommand(
    key,
    'rotate <name>',
    'make the next version of a key, which signs from then on, and deactivate those before it',
    [
      'sigilctl key rotate webhooks',
      'sigilctl key rotate webhooks --keep-active',
      'sigilctl key rotate webhooks --dry-run',
    ],
  )
    .option('--keep-active', 'keep the versions before the new one ACTIVE')
    .option(
      '--request-id <id>',
      'makes the command safe to repeat: the same id, the same version (default: a fresh UUID)',
    );
  addChangeOptions(command).action(
    printing(invocation, async (name: string, options: RotateOptions) => {
      const { rotateKey } = await import('./key-actions.ts');
      return rotateKey(addressOf(options, invocation), name, options);
    }),
  );
}

function addUpdate(key: Command, invocation: Invocation): void {
  const command = addCommand(key, 'update <name>', "change a key's settings", [
    'sigilctl key update webhooks --rotation-period 90d',
    'sigilctl key update webhooks --rotation-period none',
  ]).requiredOption(
    '--rotation-period <duration>',
    'how old its newest version gets before the daemon rotates it, 90d for instance; or none',
    (text) => (text === 'none' ? 0 : duration(text)),
  );
  addChangeOptions(command).action(
    printing(invocation, async (name: string, options: UpdateOptions) => {
      const { updateKey } = await import('./key-actions.ts');
      return updateKey(addressOf(options, invocation), name, options);
    }),
  );
}

function addState(
  key: Command,
  { verb, state, does }: (typeof STATE_COMMANDS)[number],
  invocation: Invocation,
): void {
  const command = addCommand(key, `${verb} <name>`, does, [
    `sigilctl key ${verb} webhooks --version 2`,
  ]).requiredOption('--version <n>', 'which version', versionNumber);
  addChangeOptions(command).action(
    printing(invocation, async (name: string, options: StateOptions) => {
      const { setState } = await import('./key-actions.ts');
      return setState(addressOf(options, invocation), name, state, options);
    }),
  );
}
