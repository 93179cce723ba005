import { clientGrants } from './client-grants.ts';
import type { Config } from './config/config.ts';
import { passedSockets } from './config/environment.ts';
import { bindableListeners } from './config/passed-listeners.ts';
import type { Log } from './lifecycle/log.ts';
import { orderlyStop } from './lifecycle/shutdown.ts';
import type { Metrics } from './metrics/metrics.ts';
import { loadMetrics, type MetricsEndpoint, openMetricsEndpoint } from './metrics-endpoint.ts';
import { refreshRegularly } from './refreshing.ts';
import { type Reloading, startReloading } from './reloading.ts';
import { Health } from './rpc/health.ts';
import { HealthMonitor } from './rpc/health-monitor.ts';
import type { RequestObserver } from './rpc/request.ts';
import { createRpcServer, type RpcServer } from './rpc/server.ts';
import { AccessPolicy } from './service/access-policy.ts';
import { AutomaticRotation } from './service/automatic-rotation.ts';
import { DestructionSchedule } from './service/destruction-schedule.ts';
import { DryRuns } from './service/dry-runs.ts';
import { ImportKeyRegister } from './service/import-key-register.ts';
import { KeyCatalog } from './service/key-catalog.ts';
import { KeyDestruction } from './service/key-destruction.ts';
import { KeyImport } from './service/key-import.ts';
import { KeyLifecycle } from './service/key-lifecycle.ts';
import { KeyService } from './service/key-service.ts';
import { KeySettingsService } from './service/key-settings.ts';
import { PublicKeyService } from './service/public-key-service.ts';
import { SigningService } from './service/signing-service.ts';
import type { StartFailure } from './service/start-failure.ts';
import { StreamService } from './service/stream-service.ts';
import { Turns } from './service/turns.ts';
import { startToken } from './start-token.ts';
import type { HostedToken } from './token-host/hosted-token.ts';

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
  const token = await startToken(config, log, onGiveUp, signal);
  const built = buildServer(config, log, token, AnyMetrics);
  const { server, metrics, monitor, catalog, rotation, schedule } = built;
  const stopRefreshing = refreshRegularly({
    ...{ catalog, token, log },
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

interface Built {
  readonly server: RpcServer;
  readonly policy: AccessPolicy;
  readonly metrics: Metrics | undefined;
  readonly monitor: HealthMonitor;
  readonly catalog: KeyCatalog;
  readonly rotation: AutomaticRotation;
  readonly schedule: DestructionSchedule;
}

function buildServer(
  config: Config,
  log: Log,
  token: HostedToken,
  AnyMetrics: typeof Metrics | undefined,
): Built {
  const { limits } = config;
  const health = new Health();
  const catalog = new KeyCatalog({
    token,
    lookupTimeoutMs: config.keys.lookupTimeoutMs,
    onAmbiguous: ({ name, versions }, numbers) => {
      const claims = versions.filter(({ version }) => numbers.includes(version));
      log.warn(
        { key: name, versions: numbers, ids: claims.map(({ id }) => id) },
        'several objects on the token claim one version of a key; it is refused',
      );
    },
    onUnreadable: ({ name }, records) =>
      log.warn(
        { key: name, records },
        'data objects on the token say that they are records of a key but cannot be understood; ' +
          'a newer sigild may have written them; they are ignored',
      ),
  });
  const shared = {
    token,
    catalog,
    policy: new AccessPolicy(clientGrants(config.clients)),
    enabledAlgorithms: new Set(config.algorithms),
    minRotationPeriodMs: config.keys.minRotationPeriodMs,
    turns: new Turns(),
    importKeys: new ImportKeyRegister(),
    maxDataBytes: limits.maxDataBytes,
  };
  const destruction = new KeyDestruction({
    ...shared,
    ...config.keys,
    onDestroyed: ({ key, version, id }) =>
      log.info({ key, version, id }, 'a version was destroyed, as was scheduled'),
  });
  const schedule = new DestructionSchedule({
    catalog,
    destruction,
    intervalMs: config.keys.refreshIntervalMs,
    onFailure: (key, error) =>
      log.warn({ err: error, key }, 'what is due of a key could not be done; it is tried again'),
  });
  const lifecycle = new KeyLifecycle(shared);
  const metrics =
    AnyMetrics && new AnyMetrics({ token: token.figures, expiries: () => server.tlsExpiries() });
  const server = createRpcServer({
    signing: new SigningService(shared),
    streams: new StreamService(shared),
    keys: new KeyService(shared),
    lifecycle,
    settings: new KeySettingsService(shared),
    destruction,
    imports: new KeyImport({ ...shared, lifecycle }),
    publicKeys: new PublicKeyService(shared),
    dryRuns: new DryRuns({ ...shared, ...config.keys }),
    ...{ health, limits, clients: config.clients },
    defaultDeadlineMs: limits.defaultDeadlineMs,
    observer: {
      onRequest: requestObserver(log, metrics),
      onDefect: (error, request) => log.error({ err: error, ...request }, 'a defect'),
    },
    onRefusal: (refusal) => log.info(refusal, 'a connection was refused'),
  });
  const monitor = new HealthMonitor({
    health,
    probe: (signal) => token.probe(signal),
    ...config.health,
    onTransition: (serving, error) => {
      if (serving) log.info('the canary key signs: SERVING');
      else log.warn({ err: error }, 'the canary key does not sign: NOT_SERVING');
    },
  });
  const rotation = new AutomaticRotation({
    catalog,
    lifecycle,
    isServing: () => monitor.serving,
    onRotated: ({ name, versions }) =>
      log.info({ key: name, version: versions[0]?.version }, 'a key was rotated automatically'),
    onFailure: (name, error) =>
      log.warn(
        { key: name, err: error },
        'a key is due but cannot be rotated automatically; it is tried again until it can, is ' +
          'rotated by hand or has no rotation period any more',
      ),
  });
  return { ...{ server, metrics, monitor, catalog, rotation, schedule }, policy: shared.policy };
}

/** @returns undefined where nobody wants to know, which saves the work */
function requestObserver(log: Log, metrics: Metrics | undefined): RequestObserver['onRequest'] {
  if (!log.isLevelEnabled('debug')) return metrics && ((record) => metrics.answered(record));
  return (record) => {
    log.debug(record, 'request');
    metrics?.answered(record);
  };
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
