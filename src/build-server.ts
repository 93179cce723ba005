import { clientGrants } from './client-grants.ts';
import type { Config } from './config/config.ts';
import type { Log } from './lifecycle/log.ts';
import type { Metrics } from './metrics/metrics.ts';
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
import type { AuditLog } from './service/ports.ts';
import { PublicKeyService } from './service/public-key-service.ts';
import { SigningService } from './service/signing-service.ts';
import { StreamService } from './service/stream-service.ts';
import { Turns } from './service/turns.ts';
import type { HostedToken } from './token-host/hosted-token.ts';

/** What serves requests, and what goes on beside it. */
export interface Built {
  readonly server: RpcServer;
  readonly policy: AccessPolicy;
  readonly metrics: Metrics | undefined;
  readonly monitor: HealthMonitor;
  readonly catalog: KeyCatalog;
  readonly rotation: AutomaticRotation;
  readonly schedule: DestructionSchedule;
}

export interface Foundations {
  readonly token: HostedToken;
  /** Undefined where none is kept. */
  readonly audit: AuditLog | undefined;
  /** Undefined where nobody asks for metrics. */
  readonly AnyMetrics: typeof Metrics | undefined;
}

/** Builds all that stands on the token; nothing of it runs yet. */
export function buildServer(
  config: Config,
  log: Log,
  { token, audit, AnyMetrics }: Foundations,
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
    audit,
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
    sessions: config.token.hosts * config.token.sessionsPerHost,
    ...{ health, limits, clients: config.clients },
    defaultDeadlineMs: limits.defaultDeadlineMs,
    audit,
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
