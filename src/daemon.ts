import { fileURLToPath } from 'node:url';
import type { Config } from './config/config.ts';
import { hostEnvironment, passedSockets } from './config/environment.ts';
import { bindableListeners } from './config/passed-listeners.ts';
import { namePattern } from './domain/name-pattern.ts';
import type { Log } from './lifecycle/log.ts';
import { orderlyStop } from './lifecycle/shutdown.ts';
import { Health } from './rpc/health.ts';
import { HealthMonitor } from './rpc/health-monitor.ts';
import { createRpcServer, type RpcServer } from './rpc/server.ts';
import { AccessPolicy } from './service/access-policy.ts';
import { KeyCatalog } from './service/key-catalog.ts';
import { KeyLifecycle } from './service/key-lifecycle.ts';
import { KeyService } from './service/key-service.ts';
import { SigningService } from './service/signing-service.ts';
import type { StartFailure } from './service/start-failure.ts';
import { StreamService } from './service/stream-service.ts';
import { Turns } from './service/turns.ts';
import { HostedToken } from './token-host/hosted-token.ts';
import type { HostedTokenOptions } from './token-host/hosted-token-options.ts';
import type { HostTransition } from './token-host/supervisor.ts';

export interface Daemon {
  /** Where clients reach it, in the order of the configuration's listeners. */
  readonly addresses: readonly string[];
  /** Drains and ends it; never rejects. Every call gives the one promise of the end. */
  stop(): Promise<void>;
}

const HOST_PROGRAM = fileURLToPath(new URL('./token-host/host-process.js', import.meta.url));

/** How long hosts get to log out; by then they have nothing else left to do. */
const LOGOUT_LIMIT_MS = 2_000;

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
  const token = await startToken(config, log, onGiveUp, signal);
  const { server, monitor, catalog } = buildServer(config, log, token);
  const refreshing = refreshRegularly(catalog, config.keys.refreshIntervalMs, log);
  const stop = orderlyStop(
    [
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
          clearInterval(refreshing);
          return token.close(LOGOUT_LIMIT_MS);
        },
      },
    ],
    (step, error) => log.warn({ err: error, step }, 'a step of the stop failed'),
  );
  try {
    await monitor.start();
    const addresses: string[] = [];
    for (const listener of listeners) addresses.push(await server.listen(listener));
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
}

function buildServer(config: Config, log: Log, token: HostedToken): Built {
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
  });
  const shared = {
    token,
    catalog,
    policy: accessPolicy(config),
    enabledAlgorithms: new Set(config.algorithms),
    turns: new Turns(),
  };
  const server = createRpcServer({
    signing: new SigningService({ ...shared, maxDataBytes: limits.maxDataBytes }),
    streams: new StreamService(shared),
    keys: new KeyService(shared),
    lifecycle: new KeyLifecycle(shared),
    health,
    limits,
    defaultDeadlineMs: limits.defaultDeadlineMs,
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
  return { server, monitor, catalog };
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

/** Bounds how long a change that another program makes on the token stays unseen. */
function refreshRegularly(catalog: KeyCatalog, intervalMs: number, log: Log): NodeJS.Timeout {
  const refresh = () =>
    catalog.refresh().catch((error: unknown) => {
      log.debug({ err: error }, 'the keys on the token could not be listed');
    });
  void refresh();
  return setInterval(refresh, intervalMs);
}

/** @param what the subject of the messages */
function logTransition(log: Log, what: string, transition: HostTransition): void {
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
