#!/usr/bin/env node
import { parseArgs } from 'node:util';
import type { Config } from './config/config.ts';
import { ConfigError } from './config/config-error.ts';
import { assertSafeEnvironment, notifySocket, watchdogLimitMs } from './config/environment.ts';
import { expiredGrants } from './config/expired-grants.ts';
import { loadConfig } from './config/load-config.ts';
import { packageVersion } from './config/version.ts';
import { startDaemon } from './daemon.ts';
import { EXIT_CODES, type ExitCode, ExitError } from './lifecycle/exit-codes.ts';
import { onHangup } from './lifecycle/hangup.ts';
import { createLog } from './lifecycle/log.ts';
import { serviceManager } from './lifecycle/sd-notify.ts';
import { onTermination } from './lifecycle/termination.ts';
import { startWatchdog } from './lifecycle/watchdog.ts';
import { forbidCoreDumps } from './native/linux-process.ts';
import { ListenerError } from './rpc/listener-error.ts';
import { StartFailure, type StartFailureKind } from './service/start-failure.ts';

const HELP = `sigild serves HMAC, whose keys never leave a PKCS#11 token, over gRPC.

Usage: sigild --config FILE [--check-config | --allow-root]
       sigild --version | --help

  --config FILE   the configuration, in YAML
  --check-config  check the configuration, say what is wrong with it, and end
  --allow-root    run as root, for instance in a container of its own; else sigild refuses that
  --version       print the version
  --help          print this

Exit codes:
  0   stopped as asked
  1   a defect, or a failure that no other code names
  64  the command line is wrong
  69  the token cannot be reached at start
  77  the token refuses the PIN; starting again with it could lock the token
  78  the configuration, or a file that it names, is wrong, this is root, or another token has taken
      the place of the one in use
`;

interface Arguments {
  readonly config: string;
  readonly checkOnly: boolean;
  readonly allowRoot: boolean;
}

/** @returns what to do, or the text that was asked for @throws {ExitError} USAGE */
function readArguments(args: readonly string[]): Arguments | string {
  const { values } = parse(args);
  if (values.help) return HELP;
  if (values.version) return `sigild ${packageVersion()}\n`;
  if (values.config === undefined) {
    throw new ExitError(EXIT_CODES.USAGE, 'sigild: --config FILE is missing; see sigild --help');
  }
  return {
    config: values.config,
    checkOnly: values['check-config'],
    allowRoot: values['allow-root'],
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        config: { type: 'string' },
        'check-config': { type: 'boolean', default: false },
        'allow-root': { type: 'boolean', default: false },
        version: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw new ExitError(EXIT_CODES.USAGE, `sigild: ${what}; see sigild --help`);
  }
}

async function main(): Promise<ExitCode> {
  const asked = readArguments(process.argv.slice(2));
  if (typeof asked === 'string') {
    process.stdout.write(asked);
    return EXIT_CODES.OK;
  }
  assertSafeEnvironment();
  const config = loadConfig(asked.config);
  if (!asked.checkOnly) {
    if (!asked.allowRoot) assertNotRoot();
    forbidCoreDumps();
    return run(config, asked.config);
  }
  for (const grant of expiredGrants(config.clients)) {
    process.stderr.write(`${asked.config}: warning: ${grant}\n`);
  }
  process.stdout.write(`${asked.config}: the configuration is right\n`);
  return EXIT_CODES.OK;
}

/** @throws {ExitError} CONFIGURATION */
function assertNotRoot(): void {
  if (process.geteuid?.() !== 0) return;
  throw new ExitError(
    EXIT_CODES.CONFIGURATION,
    'sigild: this is root, which nothing here needs: run it as a user of its own, as ' +
      'systemd/sigild.service does, or with --allow-root',
  );
}

/** Runs the daemon until a signal ends it, or a failure that no retry mends. */
async function run(config: Config, configFile: string): Promise<ExitCode> {
  const log = createLog(config.log.level);
  const manager = serviceManager(notifySocket(), (error) =>
    log.warn({ err: error }, 'systemd does not hear of this daemon'),
  );
  const stopWatchdog = startWatchdog(watchdogLimitMs(), () => manager.alive());
  const stopping = new AbortController();
  let end!: (exitCode: ExitCode) => void;
  const ended = new Promise<ExitCode>((resolve) => {
    end = resolve;
  });
  onTermination((signal) => {
    log.info({ signal }, 'stopping');
    stopping.abort();
    end(EXIT_CODES.OK);
  });

  let reload = () => log.info('the daemon is still starting: there is nothing to reload yet');
  onHangup(() => reload());

  log.info({ version: packageVersion() }, 'starting');
  const giveUp = (failure: StartFailure) => {
    log.fatal({ err: failure }, 'no token host may be started any more: stopping');
    end(EXIT_OF_FAILURE[failure.kind]);
  };
  const starting = startDaemon(config, configFile, log, giveUp, stopping.signal);
  const daemon = await starting.catch((error) => {
    // A start that was asked to end has not failed.
    if (stopping.signal.aborted) return undefined;
    throw error;
  });
  if (!daemon) return EXIT_CODES.OK;
  reload = () => daemon.reload();
  log.info({ addresses: daemon.addresses, metrics: daemon.metricsAddress }, 'serving');
  await manager.ready();

  const exitCode = await ended;
  await manager.stopping();
  await daemon.stop();
  stopWatchdog();
  log.info({ exitCode }, 'stopped');
  return exitCode;
}

const EXIT_OF_FAILURE = {
  configuration: EXIT_CODES.CONFIGURATION,
  unavailable: EXIT_CODES.TOKEN_UNAVAILABLE,
  'wrong-pin': EXIT_CODES.WRONG_PIN,
  'wrong-token': EXIT_CODES.CONFIGURATION,
} as const satisfies Record<StartFailureKind, ExitCode>;

/** @returns undefined for a defect */
function expectedExit(error: unknown): ExitCode | undefined {
  if (error instanceof ExitError) return error.exitCode;
  if (error instanceof ConfigError) return EXIT_CODES.CONFIGURATION;
  if (error instanceof StartFailure) return EXIT_OF_FAILURE[error.kind];
  if (!(error instanceof ListenerError)) return undefined;
  return error.kind === 'configuration' ? EXIT_CODES.CONFIGURATION : EXIT_CODES.FAILURE;
}

/** Tells an operator on stderr what went wrong; a defect with its stack. */
function report(error: unknown): ExitCode {
  const expected = expectedExit(error);
  const text = error instanceof Error ? error : new Error(String(error));
  process.stderr.write(`${expected === undefined ? text.stack : text.message}\n`);
  return expected ?? EXIT_CODES.FAILURE;
}

process.exit(await main().catch(report));
