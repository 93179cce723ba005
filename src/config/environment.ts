import { ConfigError } from './config-error.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The first descriptor that systemd passes: SD_LISTEN_FDS_START. */
const FIRST_PASSED_FD = 3;

const MOST_PASSED_FDS = 1024;

/** What the daemon is told about itself alone, and what could change how a token host runs. */
const NOT_FOR_HOSTS = /^(NOTIFY_SOCKET$|NODE_OPTIONS$|LISTEN_|WATCHDOG_|SIGILD_)/;

/** Where systemd puts the credentials of a unit; undefined outside of such a unit. */
export function credentialsDirectory(environment: Environment = process.env): string | undefined {
  return environment['CREDENTIALS_DIRECTORY'] || undefined;
}

/**
 * The sockets that systemd passed to this very process, by FileDescriptorName. A name has several
 * descriptors where its socket unit listens on several addresses.
 */
export function passedSockets(
  environment: Environment = process.env,
  pid: number = process.pid,
): ReadonlyMap<string, readonly number[]> {
  const sockets = new Map<string, number[]>();
  if (environment['LISTEN_PID'] !== String(pid)) return sockets;
  const count = Math.min(positiveInteger(environment['LISTEN_FDS']) ?? 0, MOST_PASSED_FDS);
  const names = environment['LISTEN_FDNAMES']?.split(':') ?? [];
  for (let index = 0; index < count; index += 1) {
    const name = names[index] ?? 'unknown';
    sockets.set(name, [...(sockets.get(name) ?? []), FIRST_PASSED_FD + index]);
  }
  return sockets;
}

/** The socket of the service manager that wants to hear of this process, if any. */
export function notifySocket(environment: Environment = process.env): string | undefined {
  return environment['NOTIFY_SOCKET'] || undefined;
}

/** The longest silence that the service manager's watchdog allows this process, in milliseconds. */
export function watchdogLimitMs(
  environment: Environment = process.env,
  pid: number = process.pid,
): number | undefined {
  const watched = environment['WATCHDOG_PID'];
  if (watched && watched !== String(pid)) return undefined;
  const limitUs = positiveInteger(environment['WATCHDOG_USEC']);
  return limitUs === undefined ? undefined : limitUs / 1000;
}

/** The daemon's address for sigilctl, where its user gives none. */
export function sigildAddress(environment: Environment = process.env): string | undefined {
  return environment['SIGILD_ADDRESS'] || undefined;
}

/** What a token host inherits: all that a module may need, and nothing addressed to the daemon. */
export function hostEnvironment(environment: Environment = process.env): Record<string, string> {
  const inherited: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && !NOT_FOR_HOSTS.test(name)) inherited[name] = value;
  }
  return inherited;
}

/** @throws {ConfigError} when a variable would make the daemon tell its clients what went wrong inside */
export function assertSafeEnvironment(environment: Environment = process.env): void {
  if (environment['GRPC_NODE_DEBUG_SEND_ERROR_DETAILS'] === undefined) return;
  throw new ConfigError([
    'GRPC_NODE_DEBUG_SEND_ERROR_DETAILS is set: it sends inner errors to clients; unset it',
  ]);
}

function positiveInteger(text: string | undefined): number | undefined {
  if (text === undefined || !/^[0-9]{1,15}$/.test(text)) return undefined;
  return Number(text) || undefined;
}
