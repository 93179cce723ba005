import { spawnSync } from 'node:child_process';
import { closeSync } from 'node:fs';
import { StartFailure } from '../service/start-failure.ts';
import { openOwn } from './open-own.ts';

const LIMIT_MS = 10_000;

/** What flock(1) of util-linux and of BusyBox exit with when another process has the lock. */
const IS_HELD = 1;

/**
 * Makes this process the one that writes a log, until it ends in whatever way: the kernel keeps the
 * lock for as long as the file is open. Node has no call for it, so flock(1) takes it on the descriptor
 * that it inherits, whose lock is that of this process too.
 *
 * @param path of a file for this alone, made where it is missing
 * @returns its descriptor, to be kept open
 * @throws {StartFailure} when another process has it, or the file cannot be used
 */
export function lockFile(path: string): number {
  const fd = openOwn(path);
  const { status, error } = spawnSync('flock', ['-n', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', fd],
    timeout: LIMIT_MS,
  });
  if (status === 0) return fd;
  closeSync(fd);
  if (status === IS_HELD) {
    throw new StartFailure(
      'configuration',
      `another process writes this audit log (it has locked ${path}): give each daemon a file of ` +
        'its own (audit.file in the configuration)',
    );
  }
  throw new StartFailure(
    'configuration',
    `${path} cannot be locked: the program flock, of util-linux, ` +
      `${error ? `does not run (${error.message})` : `ended with ${status}`}`,
    error,
  );
}
