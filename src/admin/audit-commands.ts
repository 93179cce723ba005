import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ChainPoint } from './audit-chain.ts';
import { timeOf } from './audit-filter.ts';
import type { QueryOptions, TailOptions } from './audit-reading.ts';
import type { SealTokenOptions, VerifyLogOptions } from './audit-verify-action.ts';
import { usageFailure } from './command-failure.ts';
import { fdOption } from './fd-option.ts';
import { addCommand, addGroup, type Invocation, integer, printing } from './invocation.ts';

const LOG = '/var/lib/sigild/audit.log';
const VERIFY = 'sigilctl audit verify';
const TOKEN = '--module /usr/lib/softhsm/libsofthsm2.so --label prod --pin-file pin';

const VERIFY_DESCRIPTION =
  'check that an audit log is whole: exit 0 when it is, 2 when not, and where it is not\n\n' +
  'Give all files of the log, in any order. The seals are checked with the audit key on the token, ' +
  'straight on the PKCS#11 module, and the end of the log with what the token keeps of its newest ' +
  'seal; no daemon is asked. Any line that was changed, removed, inserted or moved is found, and any ' +
  'cut tail up to the last seal.\n\n' +
  'Without --pin-file or --pin-fd the PIN is asked for on the terminal; it is tried once.';

const MAX_LINES = 1_000;

/** The commands that read audit logs. They ask no daemon. */
export function addAuditCommands(program: Command, invocation: Invocation): void {
  const audit = addGroup(program, 'audit', "verify and read a daemon's audit log", [
    `${VERIFY} ${LOG}* ${TOKEN}`,
    `sigilctl audit tail ${LOG} --follow`,
    `sigilctl audit query ${LOG}* --client shop --since 24h`,
  ]);
  addVerify(audit, invocation);
  addTail(audit, invocation);
  addQuery(audit, invocation);
}

function addVerify(audit: Command, invocation: Invocation): void {
  const token = ['module', 'label', 'serial', 'pinFile', 'pinFd'];
  addCommand(audit, 'verify <files...>', VERIFY_DESCRIPTION, [
    `${VERIFY} ${LOG}* ${TOKEN}`,
    `${VERIFY} ${LOG}* ${TOKEN} --expect 4711:HASH   # the end that an earlier run has printed`,
    `${VERIFY} ${LOG} ${TOKEN} --after 4711:HASH   # older files are elsewhere`,
    `${VERIFY} ${LOG}* --chain-only   # without the token: proves far less`,
  ])
    .summary('check that an audit log is whole')
    .option('--module <path>', 'the PKCS#11 library')
    .option('--label <label>', 'the label of the token that sealed the log')
    .option('--serial <serial>', "the token's serial number, where several have one label")
    .option('--pin-file <file>', 'file with the user PIN, mode 0600')
    .addOption(fdOption('--pin-fd <n>', 'descriptor to read the user PIN from', 'pinFile'))
    .addOption(
      new Option(
        '--chain-only',
        'check no seals: whoever can write a log can make a chain',
      ).conflicts(token),
    )
    .option(
      '--after <seq[:hash]>',
      'the line before the first one given, of a log that began earlier',
      pointOf,
    )
    .option('--expect <seq:hash>', 'a line that the log must hold', expectedPointOf)
    .option('--continued', 'the log goes on in files that are not given: its end is not checked')
    .action(
      printing(invocation, async (files: readonly string[], options: AnyVerifyOptions) => {
        const { verifyChain, verifySealed } = await import('./audit-verify-action.ts');
        return isSealed(options) ? verifySealed(files, options) : verifyChain(files, options);
      }),
    );
}

function addTail(audit: Command, invocation: Invocation): void {
  addCommand(audit, 'tail <file>', 'show the last lines of an audit log', [
    `sigilctl audit tail ${LOG}`,
    `sigilctl audit tail ${LOG} --follow -o json | jq -r .operation`,
  ])
    .option('-n, --lines <n>', `how many, up to ${MAX_LINES}`, integer(1, MAX_LINES), 10)
    .option('-f, --follow', 'go on with lines as they come, also in the next file')
    .action(async (file: string, options: TailOptions) => {
      const { tail } = await import('./audit-reading.ts');
      await tail(file, options, invocation.streams);
    });
}

function addQuery(audit: Command, invocation: Invocation): void {
  addCommand(audit, 'query <files...>', 'show the lines of an audit log that say something', [
    `sigilctl audit query ${LOG}* --client shop --since 24h`,
    `sigilctl audit query ${LOG}* --key webhooks --operation ScheduleDestroy`,
    `sigilctl audit query ${LOG}* --outcome PERMISSION_DENIED -o json`,
  ])
    .option('--client <name>', 'of this client')
    .option('--key <name>', 'about this key')
    .option('--operation <name>', 'of this method, such as Sign')
    .option('--outcome <reason>', 'that ended so: OK, or the reason of an error')
    .option(
      '--since <time>',
      'from this time on: 2026-11-22T20:46:00Z, or 24h for that long ago',
      timeOf,
    )
    .option('--until <time>', 'before this time', timeOf)
    .action(async (files: readonly string[], options: QueryOptions) => {
      const { query } = await import('./audit-reading.ts');
      await query(files, options, invocation.streams);
    });
}

type AnyVerifyOptions = VerifyLogOptions &
  Partial<SealTokenOptions> & { readonly chainOnly?: boolean };

/** @throws {CommandFailure} USAGE where neither a token nor the chain alone is asked for */
function isSealed(options: AnyVerifyOptions): options is VerifyLogOptions & SealTokenOptions {
  const { chainOnly = false, module, label } = options;
  if (chainOnly) return false;
  if (module !== undefined && label !== undefined) return true;
  throw usageFailure(
    module === undefined ? '--module is not given' : '--label is not given',
    'name the token that sealed the log, or give --chain-only, which proves far less',
  );
}

/** Parses an option's argument. */
function pointOf(text: string): ChainPoint {
  const [, seq, hash] = /^([0-9]{1,15})(?::([0-9a-f]{64}))?$/.exec(text) ?? [];
  if (seq !== undefined) return { seq: Number(seq), hash };
  throw new InvalidArgumentError('It must be SEQ:HASH, as audit verify prints the end of a log.');
}

/** Parses an option's argument. */
function expectedPointOf(text: string) {
  const { seq, hash } = pointOf(text);
  if (hash !== undefined) return { seq, hash };
  throw new InvalidArgumentError('It must be SEQ:HASH, as audit verify prints the end of a log.');
}
