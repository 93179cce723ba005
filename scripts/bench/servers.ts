import { join } from 'node:path';
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

/** How many token hosts sign; all other settings that matter here are the daemon's defaults. */
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
): Promise<MeasuredServer> {
  const daemon = await startBuiltDaemon(softHsm, resources);
  await until(() => hostPids(daemon).length === HOSTS && writerPid(daemon) !== undefined);
  const [unix = '', tcp = ''] = daemon.addresses;
  const hosts = [
    ...hostPids(daemon).map((pid, index) => ({ name: `host ${index + 1}`, pid })),
    { name: 'host for changes', pid: known(writerPid(daemon)) },
  ];
  return { name, unix, tcp, pid: known(daemon.process.pid), hosts };
}

/** Starts the built daemon and waits until it serves. */
export async function startBuiltDaemon(softHsm: SoftHsm, resources: Resources): Promise<Daemon> {
  const { module, label, pinFile } = softHsm;
  const daemon = await startDaemon(softHsm, {
    config: {
      token: { module, label, pinFile, hosts: HOSTS },
      health: {},
      log: { level: 'info' },
    },
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
