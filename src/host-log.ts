import type { Log } from './lifecycle/log.ts';
import type { HostTransition } from './token-host/supervisor.ts';

/**
 * Tells what becomes of a token host.
 *
 * @param what the subject of the messages
 */
export function logTransition(log: Log, what: string, transition: HostTransition): void {
  switch (transition.event) {
    case 'started': {
      const { pid, serial, lanes, shortage, warmth } = transition.host;
      const fields = { hostPid: pid, serial, sessions: lanes.length, warmth };
      if (shortage === undefined) log.info(fields, `${what} is logged in`);
      else log.warn({ ...fields, shortage }, `${what} got fewer sessions than configured`);
      return;
    }
    case 'lost':
      log.warn({ hostPid: transition.host.pid, err: transition.reason }, `${what} is replaced`);
      return;
    case 'failed':
      log.error({ err: transition.failure }, `${what} could not start`);
  }
}
