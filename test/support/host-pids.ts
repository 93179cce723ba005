import type { Daemon } from './daemon.ts';

/** The pids of the token hosts that the daemon says are logged in. */
export function hostPids({ logLines }: Daemon): number[] {
  const pids = (msg: string) =>
    logLines.filter((line) => line.msg === msg).map((line) => line['hostPid'] as number);
  const lost = new Set(pids('a token host is replaced'));
  return pids('a token host is logged in').filter((pid) => !lost.has(pid));
}
