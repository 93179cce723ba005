/// <reference path="./unix-dgram.d.ts" />

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/**
 * Tells systemd what the daemon does. Nothing here rejects: a daemon that serves does not fail
 * because nobody hears of it.
 */
export interface ServiceManager {
  ready(): Promise<void>;
  stopping(): Promise<void>;
  /** @param text one line, shown by `systemctl status` */
  status(text: string): Promise<void>;
  /** Feeds the watchdog. */
  alive(): Promise<void>;
}

type Transport = (socketPath: string, message: string) => Promise<void>;

const PROGRAM_TIMEOUT_MS = 5_000;

/**
 * Node itself has no datagrams on unix sockets. The package sends them from this process, but is
 * optional, for it needs a compiler, and knows no abstract socket; the program knows all sockets
 * and waits for a manager that is slow, but costs a process.
 */
const TRANSPORTS: readonly Transport[] = [sendByPackage, sendByProgram];

/**
 * @param socketPath $NOTIFY_SOCKET; undefined when no service manager listens
 * @param onFailure hears of the first message that could not be sent, and of no other
 */
export function serviceManager(
  socketPath: string | undefined,
  onFailure: (error: unknown) => void,
): ServiceManager {
  let failed = false;
  const send = async (message: string): Promise<void> => {
    if (socketPath === undefined) return;
    try {
      await sendByAny(socketPath, message);
    } catch (error) {
      if (!failed) onFailure(error);
      failed = true;
    }
  };
  return {
    ready: () => send('READY=1'),
    stopping: () => send('STOPPING=1'),
    status: (text) => send(`STATUS=${text.replace(/\p{Cc}+/gu, ' ')}`),
    alive: () => send('WATCHDOG=1'),
  };
}

async function sendByAny(socketPath: string, message: string): Promise<void> {
  const errors: unknown[] = [];
  for (const transport of TRANSPORTS) {
    try {
      return await transport(socketPath, message);
    } catch (error) {
      errors.push(error);
    }
  }
  const reasons = errors.map((error) => (error instanceof Error ? error.message : String(error)));
  throw new Error(`the service manager hears nothing of this daemon: ${reasons.join('; ')}`);
}

async function sendByPackage(socketPath: string, message: string): Promise<void> {
  // The package passes paths as C strings, and an abstract socket's begins with a zero byte.
  if (!socketPath.startsWith('/')) throw new Error('unix-dgram knows sockets with paths alone');
  const { createSocket } = await import('unix-dgram');
  const socket = createSocket('unix_dgram');
  const bytes = Buffer.from(message);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.send(bytes, 0, bytes.byteLength, socketPath, (error) =>
        error ? reject(error) : resolve(),
      );
    });
  } finally {
    socket.close();
  }
}

async function sendByProgram(socketPath: string, message: string): Promise<void> {
  await promisify(execFile)('systemd-notify', ['--', message], {
    env: { NOTIFY_SOCKET: socketPath },
    timeout: PROGRAM_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
}
