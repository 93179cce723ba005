import { buildServer } from './build-server.ts';
import type { Config } from './config/config.ts';
import { passedSockets } from './config/environment.ts';
import { bindableListeners } from './config/passed-listeners.ts';
import { openAudit } from './daemon-audit.ts';
import type { Log } from './lifecycle/log.ts';
import { orderlyStop } from './lifecycle/shutdown.ts';
import type { Metrics } from './metrics/metrics.ts';
import { loadMetrics, type MetricsEndpoint, openMetricsEndpoint } from './metrics-endpoint.ts';
import { refreshRegularly } from './refreshing.ts';
import { type Reloading, startReloading } from './reloading.ts';
import type { StartFailure } from './service/start-failure.ts';
import { startToken } from './start-token.ts';

export interface Daemon {
  /** Where clients reach it, in the order of the configuration's listeners. */
  readonly addresses: readonly string[];
  /** Where it tells metrics; undefined when it does not. */
  readonly metricsAddress: string | undefined;
  /** Reads the clients and the files of TLS listeners again; the log says what came of it. */
  reload(): void;
  /** Drains and ends it; never rejects. Every call gives the one promise of the end. */
  stop(): Promise<void>;
}

/** How long hosts get to log out; by then they have nothing else left to do. */
const LOGOUT_LIMIT_MS = 2_000;

/** For a destruction that has begun; what is not done by then the next start does. */
const DESTRUCTION_LIMIT_MS = 2_000;

/** For the last lines, their seal and its record on the token. */
const AUDIT_LIMIT_MS = 12_000;

/** How long a step of the stop may overrun its own limit before the next one starts. */
const GRACE_MS = 1_000;

/**
 * Builds every part of the daemon, from the token to the listeners.
 *
 * @param configFile where the configuration stands, which is read again when it changes
 * @param signal ends a start that is under way
 * @param onGiveUp told when no token host is left and none may be started again
 * @throws {StartFailure} when the token cannot be used
 * @throws {ListenerError} when a listener cannot be opened
 * @throws {ConfigError} when systemd has not passed a socket
 */
export async function startDaemon(
  config: Config,
  configFile: string,
  log: Log,
  onGiveUp: (failure: StartFailure) => void,
  signal: AbortSignal,
): Promise<Daemon> {
  // Before anything is started that would have to be stopped again.
  const listeners = bindableListeners(config.listeners, passedSockets());
  const AnyMetrics = await loadMetrics(config);
  const audit = await openAudit(config.audit, log);
  const token = await startToken(config, log, onGiveUp, signal);
  const built = buildServer(config, log, { token, audit, AnyMetrics });
  const { server, metrics, monitor, catalog, rotation, schedule } = built;
  const stopRefreshing = refreshRegularly({
    ...{ catalog, token, audit, log },
    intervalMs: config.keys.refreshIntervalMs,
  });
  let reloading: Reloading | undefined;
  let endpoint: MetricsEndpoint | undefined;
  const stop = orderlyStop(
    [
      { name: 'reloading', limitMs: GRACE_MS, run: () => reloading?.stop() },
      { name: 'rotation', limitMs: GRACE_MS, run: () => rotation.stop() },
      { name: 'destruction', limitMs: DESTRUCTION_LIMIT_MS, run: () => schedule.stop() },
      { name: 'health', limitMs: GRACE_MS, run: () => monitor.stop() },
      {
        name: 'drain',
        limitMs: config.shutdown.drainTimeoutMs + GRACE_MS,
        run: () => server.drain(config.shutdown.drainTimeoutMs),
      },
      { name: 'audit', limitMs: AUDIT_LIMIT_MS, run: () => audit?.stop() },
      {
        name: 'token',
        limitMs: LOGOUT_LIMIT_MS + GRACE_MS,
        run: () => {
          stopRefreshing();
          return token.close(LOGOUT_LIMIT_MS);
        },
      },
      { name: 'metrics', limitMs: GRACE_MS, run: () => endpoint?.close() },
    ],
    (step, error) => log.warn({ err: error, step }, 'a step of the stop failed'),
  );
  try {
    await audit?.start(token.audit);
    await monitor.start();
    const addresses: string[] = [];
    for (const listener of listeners) addresses.push(await server.listen(listener));
    endpoint = await openEndpoint(metrics, config, log);
    const running = startReloading({
      ...{ config, configFile, policy: built.policy, server, log },
      onReload: (succeeded) => metrics?.reloaded(succeeded),
    });
    reloading = running;
    rotation.start();
    schedule.start();
    return {
      ...{ addresses, stop },
      metricsAddress: endpoint?.address,
      reload: () => running.reload(),
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function openEndpoint(
  metrics: Metrics | undefined,
  { metrics: { listen } }: Config,
  log: Log,
) {
  if (!metrics || !listen) return undefined;
  return openMetricsEndpoint(metrics, listen, (error) =>
    log.warn({ err: error }, 'metrics could not be told'),
  );
}
