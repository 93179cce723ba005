import { fileURLToPath } from 'node:url';
import type { Config } from './config/config.ts';
import { hostEnvironment } from './config/environment.ts';
import { logTransition } from './host-log.ts';
import type { Log } from './lifecycle/log.ts';
import type { StartFailure } from './service/start-failure.ts';
import { HostedToken } from './token-host/hosted-token.ts';
import type { HostedTokenOptions } from './token-host/hosted-token-options.ts';

const HOST_PROGRAM = fileURLToPath(new URL('./token-host/host-process.js', import.meta.url));

/**
 * Starts the first token host; the others follow.
 *
 * @param signal ends the start
 * @throws {StartFailure}
 */
export function startToken(
  { token, limits, keys }: Config,
  log: Log,
  onGiveUp: (failure: StartFailure) => void,
  signal: AbortSignal,
): Promise<HostedToken> {
  const options: HostedTokenOptions = {
    ...token,
    program: HOST_PROGRAM,
    environment: hostEnvironment(),
    maxWaiting: limits.maxWaiting,
    recheckMs: keys.refreshIntervalMs,
    onTransition: (transition) => logTransition(log, 'a token host', transition),
    onWriterTransition: (transition) =>
      logTransition(log, 'the token host for changes', transition),
    onDefect: (stack) => log.error({ stack }, 'a defect in a token host'),
    onGiveUp,
  };
  return HostedToken.start(options, signal);
}
