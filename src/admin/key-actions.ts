import { randomUUID } from 'node:crypto';
import type { Algorithm } from '../domain/algorithm.ts';
import type { UsageState } from '../domain/key-state.ts';
import { CommandFailure, usageFailure } from './command-failure.ts';
import { type DaemonClient, withDaemon } from './daemon-client.ts';
import type { ChangeOptions, DaemonOptions } from './daemon-options.ts';
import type { CommandResult } from './invocation.ts';
import { type KeyDocument, keyListText, keyText } from './key-documents.ts';

export type ListOptions = DaemonOptions;

export interface CreateOptions extends ChangeOptions {
  readonly algorithm: Algorithm;
  readonly requestId?: string;
  readonly reuseName?: boolean;
  readonly rotationPeriod?: number;
  readonly indestructible?: boolean;
}

export interface UpdateOptions extends ChangeOptions {
  /** In milliseconds; 0 for none. */
  readonly rotationPeriod: number;
}

export interface ShowOptions extends DaemonOptions {
  readonly version?: number;
}

export interface RotateOptions extends ChangeOptions {
  readonly keepActive?: boolean;
  readonly requestId?: string;
}

export interface StateOptions extends ChangeOptions {
  readonly version: number;
}

/** Failures after which the change may have been made all the same. */
const UNDECIDED = new Set([
  'CANCELLED',
  'DAEMON_UNREACHABLE',
  'DEADLINE_EXCEEDED',
  'TOKEN_UNAVAILABLE',
]);

/** `key create` */
export async function createKey(
  address: string,
  name: string,
  options: CreateOptions,
): Promise<CommandResult> {
  const { algorithm, rotationPeriod: rotationPeriodMs = 0, indestructible = false } = options;
  const { reuseName = false, dryRun = false } = options;
  return repeatable(address, options, 'the key may exist', (daemon, requestId) =>
    daemon.createKey({
      ...{ key: name, algorithm, reuseName, requestId },
      ...{ rotationPeriodMs, destroyable: !indestructible, dryRun },
    }),
  );
}

/** `key update` */
export async function updateKey(
  address: string,
  name: string,
  options: UpdateOptions,
): Promise<CommandResult> {
  const { rotationPeriod: rotationPeriodMs, dryRun = false } = options;
  const document = await withDaemon(address, options, (daemon) =>
    daemon.updateKey({ key: name, rotationPeriodMs, dryRun }),
  );
  return changed(document, options);
}

/** `key rotate` */
export async function rotateKey(
  address: string,
  name: string,
  options: RotateOptions,
): Promise<CommandResult> {
  const { keepActive = false, dryRun = false } = options;
  return repeatable(address, options, 'the new version may exist', (daemon, requestId) =>
    daemon.rotateKey({ key: name, keepActive, requestId, dryRun }),
  );
}

/** `key suspend`, `key activate` and `key deactivate` */
export async function setState(
  address: string,
  name: string,
  state: UsageState,
  options: StateOptions,
): Promise<CommandResult> {
  const { version, dryRun = false } = options;
  const document = await withDaemon(address, options, (daemon) =>
    daemon.updateKeyVersion({ key: name, version, state, dryRun }),
  );
  return changed(document, options);
}

/** `key list` */
export async function listKeys(address: string, options: ListOptions): Promise<CommandResult> {
  const keys = await withDaemon(address, options, (daemon) => daemon.listKeys());
  return { document: { keys }, text: keyListText(keys, Date.now()) };
}

/** `key show` */
export async function showKey(
  address: string,
  name: string,
  options: ShowOptions,
): Promise<CommandResult> {
  const document = await withDaemon(address, options, (daemon) =>
    daemon.getKey({ key: name, version: options.version }),
  );
  return { document, text: keyText(document) };
}

/** What a command tells of a key that it has changed, or would change. */
export function changed(document: KeyDocument, { dryRun }: ChangeOptions): CommandResult {
  const note = 'dry run: this is what the key would be; nothing was changed';
  return { document, text: keyText(document), ...(dryRun && { note }) };
}

/**
 * Makes a call that its request id makes safe to repeat.
 *
 * @param doubt what to say of a call that failed, and may have done its work all the same
 */
export async function repeatable(
  address: string,
  options: ChangeOptions & { readonly requestId?: string },
  doubt: string,
  call: (daemon: DaemonClient, requestId: string) => Promise<KeyDocument>,
): Promise<CommandResult> {
  const requestId = options.requestId ?? randomUUID();
  if (requestId === '') throw usageFailure('--request-id is empty');
  try {
    const document = await withDaemon(address, options, (daemon) => call(daemon, requestId));
    return changed(document, options);
  } catch (error) {
    throw options.dryRun ? error : undecided(error, doubt, requestId);
  }
}

function undecided(error: unknown, doubt: string, requestId: string): unknown {
  if (!(error instanceof CommandFailure) || !UNDECIDED.has(error.reason)) return error;
  return new CommandFailure(error.reason, error.message, {
    nextStep: `${doubt}: repeat with --request-id ${requestId}, which makes no second one`,
    retryAfterMs: error.retryAfterMs,
    cause: error,
  });
}
