import type { Daemon } from './daemon.ts';
import { hostPids } from './host-pids.ts';
import { on, type Pkcs11Shim, setting } from './pkcs11-shim.ts';

/** A fault of a soak. */
export interface SoakFault {
  readonly name: string;
  /** For how long it lasts; 0 for one that is over when it has happened. */
  readonly lastsMs: number;
  begin(): Promise<void> | void;
}

const LASTING_MS = 5_000;

/** @returns the faults of a token host, its module and its token, all of which pass */
export function soakFaults(shim: Pkcs11Shim, daemon: Daemon): readonly SoakFault[] {
  const onShim = (name: string, lastsMs: number, line: string): SoakFault => ({
    name,
    lastsMs,
    begin: () => shim.control(line),
  });
  return [
    { name: 'a token host is killed', lastsMs: 0, begin: () => killOne(hostPids(daemon)) },
    onShim('the module crashes', LASTING_MS, on('C_Sign').segfault({ times: 1 })),
    onShim('a C_Sign hangs', LASTING_MS, on('C_Sign').hangForever({ times: 1 })),
    onShim('a C_SignInit hangs', LASTING_MS, on('C_SignInit').hangForever({ times: 1 })),
    onShim(
      '50 C_Sign fail with CKR_DEVICE_ERROR',
      LASTING_MS,
      on('C_Sign').return('CKR_DEVICE_ERROR', { times: 50 }),
    ),
    onShim(
      'a tenth of all C_Sign fail with CKR_FUNCTION_FAILED when they are done',
      LASTING_MS,
      on('C_Sign').returnAfter('CKR_FUNCTION_FAILED', { chance: 0.1, times: 50 }),
    ),
    onShim('all sessions are lost', LASTING_MS, setting.loseSessions()),
    onShim('the token logs out', LASTING_MS, setting.logOut()),
    onShim('the token is slow', LASTING_MS, on('C_Sign').delay(2, { jitter: 20 })),
    onShim('the token is away', LASTING_MS, setting.removeToken('CKR_DEVICE_REMOVED')),
  ];
}

function killOne(pids: readonly number[]): void {
  const pid = pids[Math.floor(Math.random() * pids.length)];
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
}
