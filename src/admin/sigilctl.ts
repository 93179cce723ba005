import { Command, CommanderError } from 'commander';
import { sigildAddress } from '../config/environment.ts';
import { packageVersion } from '../config/version.ts';
import { addAuditCommands } from './audit-commands.ts';
import { usageFailure } from './command-failure.ts';
import { EXIT_STATUS, exitCodeOf } from './exit-status.ts';
import { exampleText, type Invocation } from './invocation.ts';
import { addKeyCommands } from './key-commands.ts';
import { columns } from './layout.ts';
import { asFailure, Output } from './output.ts';
import { addProvisionCommand } from './provision-commands.ts';
import { addPublicKeyCommands } from './public-key-commands.ts';
import { addSigningCommands } from './signing-commands.ts';
import { addTokenCommands } from './token-commands.ts';

/**
 * Runs one command line on the process's own streams.
 *
 * @param argv what follows the program's name
 * @returns the exit code: see {@link EXIT_STATUS}
 */
export async function sigilctl(argv: readonly string[]): Promise<number> {
  // grpc-js 1.14 passes an IP address as TLS's server name; Node 20 would say so on stderr, where
  // scripts expect nothing or one JSON document.
  process.noDeprecation = true;
  process.stdout.on('error', ignoreClosedPipe);
  const invocation: Invocation = {
    streams: process,
    defaultAddress: sigildAddress(),
    exitCode: EXIT_STATUS.done.code,
  };
  try {
    await programFor(invocation).parseAsync(argv, { from: 'user' });
    return invocation.exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT_STATUS.done.code;
    return report(error, argv, invocation);
  }
}

function programFor(invocation: Invocation): Command {
  const program = new Command('sigilctl')
    .description('provision PKCS#11 tokens, and make and use keys of a sigild daemon')
    .version(`sigilctl ${packageVersion()}`)
    // The options of a command are its own: `key show --version 2` asks for a key's version.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .addHelpText('after', helpEnd());
  addTokenCommands(program, invocation);
  addPublicKeyCommands(addKeyCommands(program, invocation), invocation);
  addSigningCommands(program, invocation);
  addProvisionCommand(program, invocation);
  addAuditCommands(program, invocation);
  return program;
}

function report(error: unknown, argv: readonly string[], { streams }: Invocation): number {
  // Commander has printed the help of a command that only has sub-commands.
  if (error instanceof CommanderError && error.code === 'commander.help') {
    return EXIT_STATUS.usage.code;
  }
  const failure = asFailure(error instanceof CommanderError ? usageOf(error) : error);
  new Output(asksForJson(argv) ? 'json' : 'table', streams).failure(failure);
  return exitCodeOf(failure.reason);
}

function usageOf({ message }: CommanderError): Error {
  const [what = '', ...hints] = message.replace(/^error: /, '').split('\n');
  // An option that does not exist may have been meant for a secret: its value is not repeated.
  return usageFailure(
    what.replace(/'(--?[^'=]*)=[^']*'/, "'$1'"),
    hints.join(' ') || 'sigilctl --help lists the commands, sigilctl COMMAND --help their options',
  );
}

/** Whether errors are asked for as JSON, on a command line that may be wrong in any other way. */
function asksForJson(argv: readonly string[]): boolean {
  return argv.some(
    (argument, index) =>
      /^(-o|--output=)json$/.test(argument) ||
      (argument === 'json' && /^(-o|--output)$/.test(argv[index - 1] ?? '')),
  );
}

function helpEnd(): string {
  const statuses = columns(
    ['Exit', 'status'],
    Object.values(EXIT_STATUS).map(({ code, meaning }) => [String(code), meaning]),
  );
  return `
With -o json, a command prints one JSON document on stdout; audit tail and audit query print one
for each line. An error is one JSON document on stderr:
{ "error": { "reason", "message", "nextStep"?, "violations"?, "retryAfterMs"? } }.

${statuses}${exampleText([
  'sigilctl token init --label prod --module PATH --so-pin-file F --pin-file F',
  'sigilctl key create webhooks --algorithm HMAC_SHA256',
  'sigilctl sign --key webhooks --input-file payload.bin',
  'sigilctl verify --key webhooks --input-file payload.bin --signature BASE64',
])}`;
}

/** A reader that stops early, such as `head`, is no failure. */
function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}
