import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { StartFailure } from '../service/start-failure.ts';

/** Read and appended to; never through a symbolic link, which could lead it elsewhere. */
export const OWN_FILE = constants.O_RDWR | constants.O_APPEND | constants.O_NOFOLLOW;

/** Of a file that is made: for the daemon's user alone. */
export const OWN_MODE = 0o600;

/** Opens a file that is the daemon's own, or makes it. @throws {StartFailure} */
export function openOwn(path: string): number {
  let fd: number | undefined;
  try {
    fd = openSync(path, OWN_FILE | constants.O_CREAT, OWN_MODE);
    if (fstatSync(fd).isFile()) return fd;
    throw new Error('it is no regular file');
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    const why = error instanceof Error ? error.message : String(error);
    throw new StartFailure(
      'configuration',
      `${path} cannot be opened for the audit log: ${why}; its folder must be there and writable ` +
        "for the daemon's user, and no symbolic link may stand in its place",
      error,
    );
  }
}
