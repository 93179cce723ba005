import type { Command } from 'commander';
import { usageFailure } from './command-failure.ts';
import { type Invocation, integer } from './invocation.ts';

/** Longer than any request waits in a daemon. */
const MAX_TIMEOUT_MS = 600_000;
const DEFAULT_TIMEOUT_MS = 5_000;

export const ADDRESS_HINT =
  'give --address unix:PATH or --address HOST:PORT, or set SIGILD_ADDRESS to one of them';

/** PEM files: all three or none. */
export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly keyFile?: string;
}

/** How a command reaches the daemon. */
export interface DaemonOptions extends TlsOptions {
  readonly address?: string;
  readonly timeoutMs: number;
}

/** How a command changes something there. */
export interface ChangeOptions extends DaemonOptions {
  readonly dryRun?: boolean;
}

/** @param timeoutMs unless the command line says otherwise */
export function addDaemonOptions(command: Command, timeoutMs = DEFAULT_TIMEOUT_MS): Command {
  return command
    .option('--address <address>', 'the daemon: unix:PATH or HOST:PORT (default: $SIGILD_ADDRESS)')
    .option('--ca <file>', "PEM certificates that the daemon's certificate must come from")
    .option('--cert <file>', 'PEM certificate of this client')
    .option('--key-file <file>', 'PEM private key of this client')
    .option(
      '--timeout-ms <ms>',
      'how long to wait for each answer of the daemon',
      integer(1, MAX_TIMEOUT_MS),
      timeoutMs,
    );
}

/** As {@link addDaemonOptions}, for a command that can be tried. */
export function addChangeOptions(command: Command, timeoutMs?: number): Command {
  const tried = command.option('--dry-run', 'check whether it would succeed, and do nothing');
  return addDaemonOptions(tried, timeoutMs);
}

/** @throws {CommandFailure} USAGE */
export function addressOf({ address }: DaemonOptions, { defaultAddress }: Invocation): string {
  const chosen = address ?? defaultAddress;
  if (chosen !== undefined) return chosen;
  throw usageFailure("the daemon's address is not given", ADDRESS_HINT);
}
