import { randomUUID } from 'node:crypto';
import type { Algorithm } from '../domain/algorithm.ts';
import { CommandFailure, usageFailure } from './command-failure.ts';
import { withDaemon } from './daemon-client.ts';
import type { DaemonOptions } from './daemon-options.ts';
import type { CommandResult } from './invocation.ts';
import { keyListText, keyText } from './key-documents.ts';

export type ListOptions = DaemonOptions;

export interface CreateOptions extends DaemonOptions {
  readonly algorithm: Algorithm;
  readonly requestId?: string;
}

export interface ShowOptions extends DaemonOptions {
  readonly version?: number;
}

/** Failures after which the key may exist all the same. */
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
  const requestId = options.requestId ?? randomUUID();
  if (requestId === '') throw usageFailure('--request-id is empty');
  try {
    const document = await withDaemon(address, options, (daemon) =>
      daemon.createKey({ key: name, algorithm: options.algorithm, requestId }),
    );
    return { document, text: keyText(document) };
  } catch (error) {
    throw undecided(error, requestId);
  }
}

/** `key list` */
export async function listKeys(address: string, options: ListOptions): Promise<CommandResult> {
  const keys = await withDaemon(address, options, (daemon) => daemon.listKeys());
  return { document: { keys }, text: keyListText(keys) };
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

function undecided(error: unknown, requestId: string): unknown {
  if (!(error instanceof CommandFailure) || !UNDECIDED.has(error.reason)) return error;
  return new CommandFailure(error.reason, error.message, {
    nextStep: `the key may exist: repeat with --request-id ${requestId}, which makes no second one`,
    retryAfterMs: error.retryAfterMs,
    cause: error,
  });
}
