import { once } from 'node:events';
import type { Stats } from 'node:fs';
import { chmod, chown, lstat, mkdtemp, rename, rm } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { accountId } from './accounts.ts';
import { ListenerError } from './listener-error.ts';

export interface UnixAddress {
  readonly kind: 'unix';
  /** Absolute. */
  readonly path: string;
  /** Permission bits: who may connect needs the right to write. */
  readonly mode: number;
  /** A group's name or number; undefined leaves the process's own. */
  readonly group: string | number | undefined;
}

/** What the kernel's `sun_path` holds beside its terminating zero byte. */
const PATH_MAX_BYTES = 107;
const PROBE_TIMEOUT_MS = 1_000;
const KEEP_OWNER = -1;

/**
 * Makes a server listen on a unix socket that never has another mode or group than asked for: the
 * socket is made in a folder that only this process's user may enter, and moved when it is right.
 *
 * A socket that nobody answers any more is replaced.
 *
 * @returns removes the socket, unless another process's has taken its place
 * @throws {ListenerError} among others when somebody answers at the path already, or when what
 *   stands there is no socket
 */
export async function listenOnUnixSocket(
  server: Server,
  { path, mode, group }: UnixAddress,
): Promise<() => Promise<void>> {
  await assertFree(path);
  const gid = group === undefined ? undefined : await accountId('group', group);
  const folder = await mkdtemp(join(dirname(path), '.'));
  try {
    const made = join(folder, 's');
    assertFits(made);
    server.listen(made);
    await once(server, 'listening');
    if (gid !== undefined) await chown(made, KEEP_OWNER, gid);
    await chmod(made, mode);
    const socket = await lstat(made);
    await rename(made, path);
    return () => remove(path, socket);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** @throws {ListenerError} */
async function assertFree(path: string): Promise<void> {
  assertFits(path);
  const found = await statOf(path);
  if (!found) return;
  if (!found.isSocket()) {
    throw new ListenerError('configuration', `${path} exists and is not a socket; move it away`);
  }
  if (await isAnswered(path)) {
    throw new ListenerError('in-use', `another process answers on the unix socket ${path}`);
  }
}

function assertFits(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes <= PATH_MAX_BYTES) return;
  throw new ListenerError(
    'configuration',
    `the unix socket path ${path} has ${bytes} bytes; at most ${PATH_MAX_BYTES} are possible`,
  );
}

/** Whatever the answer, only a refused connection proves that the socket's process is dead. */
async function isAnswered(path: string): Promise<boolean> {
  const probe = connect(path);
  try {
    await once(probe, 'connect', { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    return true;
  } catch (error) {
    return !isCode(error, 'ECONNREFUSED') && !isCode(error, 'ENOENT');
  } finally {
    probe.destroy();
  }
}

async function remove(path: string, socket: Stats): Promise<void> {
  const found = await statOf(path);
  if (found?.ino === socket.ino && found.dev === socket.dev) await rm(path, { force: true });
}

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
