import { fileURLToPath } from 'node:url';
import type { Config } from './config/config.ts';
import { hostEnvironment, passedSockets } from './config/environment.ts';
import { bindableListeners } from './config/passed-listeners.ts';
import { openAudit } from './daemon-audit.ts';
import { namePattern } from './domain/name-pattern.ts';
import { logTransition } from './host-log.ts';
import { refreshRegularly } from './key-refresh.ts';
import type { Log } from './lifecycle/log.ts';
import { orderlyStop } from './lifecycle/shutdown.ts';
import { Health } from './rpc/health.ts';
import { HealthMonitor } from './rpc/health-monitor.ts';
import { createRpcServer, type RpcServer } from './rpc/server.ts';
import { AccessPolicy } from './service/access-policy.ts';
import { AutomaticRotation } from './service/automatic-rotation.ts';
import { DestructionSchedule } from './service/destruction-schedule.ts';
import { KeyCatalog } from './service/key-catalog.ts';
import { KeyDestruction } from './service/key-destruction.ts';
import { KeyImport } from './service/key-import.ts';
import { KeyLifecycle } from './service/key-lifecycle.ts';
import { KeyService } from './service/key-service.ts';
import { KeySettingsService } from './service/key-settings.ts';
import type { AuditLog } from './service/ports.ts';
import { PublicKeyService } from './service/public-key-service.ts';
import { SigningService } from './service/signing-service.ts';
import type { StartFailure } from './service/start-failure.ts';
import { StreamService } from './service/stream-service.ts';
import { Turns } from './service/turns.ts';
import { HostedToken } from './token-host/hosted-token.ts';
import type { HostedTokenOptions } from './token-host/hosted-token-options.ts';

export interface Daemon {
  /** Where clients reach it, in the order of the configuration's listeners. */
  readonly addresses: readonly string[];
  /** Drains and ends it; never rejects. Every call gives the one promise of the end. */
  stop(): Promise<void>;
}

const HOST_PROGRAM = fileURLToPath(new URL('./token-host/host-process.js', import.meta.url));

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
 * @param signal ends a start that is under way
 * @param onGiveUp told when no token host is left and none may be started again
 * @throws {StartFailure} when the token cannot be used
 * @throws {ListenerError} when a listener cannot be opened
 * @throws {ConfigError} when systemd has not passed a socket
 */
export async function startDaemon(
  config: Config,
  log: Log,
  onGiveUp: (failure: StartFailure) => void,
  signal: AbortSignal,
): Promise<Daemon> {
  // Before anything is started that would have to be stopped again.
  const listeners = bindableListeners(config.listeners, passedSockets());
  const audit = await openAudit(config.audit, log);
  const token = await startToken(config, log, onGiveUp, signal);
  const { server, monitor, catalog, rotation, schedule } = buildServer(config, log, token, audit);
  const { refreshIntervalMs: intervalMs } = config.keys;
  const refreshing = refreshRegularly({ catalog, token, audit, intervalMs, log });
  const stop = orderlyStop(
    [
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
          clearInterval(refreshing);
          return token.close(LOGOUT_LIMIT_MS);
        },
      },
    ],
    (step, error) => log.warn({ err: error, step }, 'a step of the stop failed'),
  );
  try {
    await audit?.start(token.audit);
    await monitor.start();
    const addresses: string[] = [];
    for (const listener of listeners) addresses.push(await server.listen(listener));
    rotation.start();
    schedule.start();
    return { addresses, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function startToken(
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

interface Built {
  readonly server: RpcServer;
  readonly monitor: HealthMonitor;
  readonly catalog: KeyCatalog;
  readonly rotation: AutomaticRotation;
  readonly schedule: DestructionSchedule;
}

function buildServer(
  config: Config,
  log: Log,
  token: HostedToken,
  audit: AuditLog | undefined,
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
    policy: accessPolicy(config),
    enabledAlgorithms: new Set(config.algorithms),
    minRotationPeriodMs: config.keys.minRotationPeriodMs,
    turns: new Turns(),
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
  const server = createRpcServer({
    signing: new SigningService({ ...shared, maxDataBytes: limits.maxDataBytes }),
    streams: new StreamService(shared),
    keys: new KeyService(shared),
    lifecycle,
    settings: new KeySettingsService(shared),
    destruction,
    imports: new KeyImport({ ...shared, lifecycle }),
    publicKeys: new PublicKeyService(shared),
    health,
    limits,
    defaultDeadlineMs: limits.defaultDeadlineMs,
    audit,
    observer: {
      onRequest: log.isLevelEnabled('debug') ? (record) => log.debug(record, 'request') : undefined,
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
  return { server, monitor, catalog, rotation, schedule };
}

function accessPolicy({ clients }: Config): AccessPolicy {
  return new AccessPolicy(
    new Map(
      clients.map(({ name, grants }) => [
        name,
        grants.map(({ keys, operations }) => ({ keys: keys.map(namePattern), operations })),
      ]),
    ),
  );
}
