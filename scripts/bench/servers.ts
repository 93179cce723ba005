import { join } from 'node:path';
import type { WarmMode } from '../../src/domain/token-options.ts';
import { type Daemon, startDaemon } from '../../test/support/daemon.ts';
import { hostPids } from '../../test/support/host-pids.ts';
import { createSoftHsm, type SoftHsm } from '../../test/support/softhsm.ts';
import { until } from '../../test/support/wait.ts';
import type { Resources } from './resources.ts';
import { startProgram } from './start-program.ts';

/** A server that is measured, in a process of its own. */
export interface MeasuredServer {
  readonly name: string;
  /** `unix:PATH` */
  readonly unix: string;
  /** HOST:PORT without TLS. */
  readonly tcp: string;
  readonly pid: number;
  /** The processes that work for it. */
  readonly hosts: readonly { readonly name: string; readonly pid: number }[];
}

/** How a daemon differs from the one that most scenarios measure, which has the defaults. */
export interface SigildOptions {
  /** What stands under `token` in the configuration. */
  readonly token?: {
    readonly hosts?: number;
    readonly sessionsPerHost?: number;
    readonly warmKeys?: WarmMode;
    readonly module?: string;
  };
  /** What stands under `limits`. */
  readonly limits?: { readonly defaultDeadlineMs?: number };
  /** What stands under `audit`; none is kept when absent. */
  readonly audit?: { readonly file: string };
  /** What is added to its environment. */
  readonly environment?: NodeJS.ProcessEnv;
}

const HOSTS = 2;

const STOP_LIMIT_MS = 15_000;

/** A token for the daemon, in a folder of its own. */
export function createToken(resources: Resources): SoftHsm {
  const softHsm = createSoftHsm('bench');
  resources.add(() => softHsm.remove());
  return softHsm;
}

/**
 * Starts the built daemon and waits until all of its hosts are there.
 *
 * @param softHsm a token of its own when absent
 */
export async function startSigild(
  name: string,
  resources: Resources,
  softHsm = createToken(resources),
  options: SigildOptions = {},
): Promise<MeasuredServer> {
  const daemon = await startBuiltDaemon(softHsm, resources, options);
  return whenComplete(name, daemon, options.token?.hosts);
}

/** Waits until all hosts of a daemon are there. */
export async function whenComplete(
  name: string,
  daemon: Daemon,
  hostCount = HOSTS,
): Promise<MeasuredServer> {
  await until(() => hostPids(daemon).length === hostCount && writerPid(daemon) !== undefined);
  const [unix = '', tcp = ''] = daemon.addresses;
  const hosts = [
    ...hostPids(daemon).map((pid, index) => ({ name: `host ${index + 1}`, pid })),
    { name: 'host for changes', pid: known(writerPid(daemon)) },
  ];
  return { name, unix, tcp, pid: known(daemon.process.pid), hosts };
}

/** Starts the built daemon and waits until it serves. */
export async function startBuiltDaemon(
  softHsm: SoftHsm,
  resources: Resources,
  { token, limits = {}, audit, environment = {} }: SigildOptions = {},
): Promise<Daemon> {
  const { module, label, pinFile } = softHsm;
  const daemon = await startDaemon(softHsm, {
    config: {
      token: { module, label, pinFile, hosts: HOSTS, ...token },
      limits,
      ...(audit && { audit }),
      health: {},
      log: { level: 'info' },
    },
    environment,
  });
  resources.add(async () => {
    const killer = setTimeout(() => daemon.process.kill('SIGKILL'), STOP_LIMIT_MS);
    await daemon.stop();
    clearTimeout(killer);
  });
  return daemon;
}

/** @param kind as empty-server.ts has them */
export async function startEmpty(
  kind: 'server' | 'service',
  resources: Resources,
): Promise<MeasuredServer> {
  const program = join(import.meta.dirname, 'empty-server.js');
  const socket = join(resources.temporaryFolder(), 'socket');
  const { pid, line } = await startProgram([process.execPath, program, kind, socket], resources);
  const [unix, tcp] = JSON.parse(line);
  return { name: `empty-${kind}`, unix, tcp, pid, hosts: [] };
}

function writerPid({ logLines }: Daemon): number | undefined {
  const line = logLines.find(({ msg }) => msg === 'the token host for changes is logged in');
  return line && Number(line['hostPid']);
}

function known(pid: number | undefined): number {
  if (pid === undefined) throw new Error('a process that is to be measured did not start');
  return pid;
}
