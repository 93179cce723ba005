import type { Command } from 'commander';
import { addChangeOptions, addressOf } from './daemon-options.ts';
import type { DestroyOptions, RestoreOptions } from './destruction-actions.ts';
import { addCommand, duration, type Invocation, printing } from './invocation.ts';
import { versionNumber } from './version-number.ts';

/** Adds `key destroy` and `key restore`. */
export function addDestructionCommands(key: Command, invocation: Invocation): void {
  addDestroy(key, invocation);
  addRestore(key, invocation);
}

function addDestroy(key: Command, invocation: Invocation): void {
  const command = addCommand(
    key,
    'destroy <name>',
    'schedule the destruction of a version that is deactivated or suspended',
    [
      'sigilctl key destroy webhooks --version 2',
      'sigilctl key destroy webhooks --version 2 --delay 7d',
      'sigilctl key destroy webhooks --version 2 --confirm webhooks',
    ],
  )
    .requiredOption('--version <n>', 'which version', versionNumber)
    .option(
      '--delay <time>',
      'how long it can be restored: days, hours, minutes or seconds, as 30d, 12h, 30m or 10s ' +
        "(default: what the daemon's configuration says)",
      duration,
    )
    .option('--confirm <name>', "the key's name again, for the last version of a key");
  addChangeOptions(command).action(
    printing(invocation, async (name: string, options: DestroyOptions) => {
      const { scheduleDestroy } = await import('./destruction-actions.ts');
      return scheduleDestroy(addressOf(options, invocation), name, options);
    }),
  );
}

function addRestore(key: Command, invocation: Invocation): void {
  const command = addCommand(
    key,
    'restore <name>',
    'take a scheduled destruction back, which leaves the version suspended',
    ['sigilctl key restore webhooks --version 2'],
  ).requiredOption('--version <n>', 'which version', versionNumber);
  addChangeOptions(command).action(
    printing(invocation, async (name: string, options: RestoreOptions) => {
      const { restore } = await import('./destruction-actions.ts');
      return restore(addressOf(options, invocation), name, options);
    }),
  );
}
