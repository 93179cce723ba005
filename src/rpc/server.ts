import type { Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import type { ChangingServices, DryRuns } from '../service/dry-runs.ts';
import type { KeyImport } from '../service/key-import.ts';
import type { AuditLog } from '../service/ports.ts';
import type { SigningService } from '../service/signing-service.ts';
import type { StreamService } from '../service/stream-service.ts';
import { Admission, type AdmissionLimits } from './admission.ts';
import { changer } from './change.ts';
import { type Caller, Connections } from './connections.ts';
import { MAX_BATCH_BYTES } from './decode-signing.ts';
import { keyServiceDefinition, signingServiceDefinition } from './field-limit.ts';
import type { Health } from './health.ts';
import { importHandlers } from './import-handlers.ts';
import { type KeyServices, keyHandlers } from './key-handlers.ts';
import { Listener, type ListenerOptions } from './listener.ts';
import { type MessageStreamLimits, MessageStreams } from './message-streams.ts';
import { Pipelines } from './pipeline.ts';
import { RateLimits, type Rates } from './rate-limits.ts';
import { ReadingTurns } from './reading-turns.ts';
import { type ReportedRefusal, refusalReport } from './refusal-report.ts';
import type { RequestObserver } from './request.ts';
import { signingHandlers } from './signing-handlers.ts';
import type { FileExpiry } from './tls-credentials.ts';
import type { TlsRenewal } from './tls-server.ts';

export interface ClientOptions {
  readonly name: string;
  /** What is absent is limited as for every other client. */
  readonly limits: Rates & { readonly maxInFlight?: number | undefined };
}

export interface RpcServerOptions extends Omit<ChangingServices, 'keys' | 'imports'> {
  readonly keys: ChangingServices['keys'] & KeyServices['keys'];
  readonly publicKeys: KeyServices['publicKeys'];
  readonly signing: Pick<SigningService, 'sign' | 'verify'>;
  readonly streams: Pick<StreamService, 'sign' | 'verify'>;
  readonly imports: Pick<KeyImport, 'getImportKey' | 'importKey'>;
  /** What is asked for to be tried alone. */
  readonly dryRuns: Pick<DryRuns, 'signing' | 'change'>;
  readonly health: Health;
  /** Of the token, of all hosts together. */
  readonly sessions: number;
  readonly limits: AdmissionLimits &
    MessageStreamLimits & {
      /** The most data of one message; the services refuse more. */
      readonly maxDataBytes: number;
      /** Over all listeners; further ones are closed. */
      readonly maxConnectionsPerClient: number;
      /** Of all clients together, and of each for which {@link clients} says nothing else. */
      readonly rates?: Rates;
      readonly ratesPerClient?: Rates;
    };
  /** Every client that is configured, with what limits it alone. */
  readonly clients?: readonly ClientOptions[];
  /** The time for a request whose client sets no deadline. */
  readonly defaultDeadlineMs: number;
  readonly observer: RequestObserver;
  /** Undefined: none is kept. */
  readonly audit?: AuditLog | undefined;
  /** Told of connections that were turned away, of each listener's at most one in ten seconds. */
  readonly onRefusal: (refusal: ReportedRefusal) => void;
}

/** The gRPC server, on any number of listeners. */
export interface RpcServer {
  /**
   * @returns where it listens, as clients write it: `unix:PATH`, `HOST:PORT` or `fd:NUMBER`
   * @throws {ListenerError}
   */
  listen(listener: ListenerOptions): Promise<string>;

  /** Of the files of all TLS listeners, as they were read last. */
  tlsExpiries(): readonly FileExpiry[];

  /**
   * Reads the files of all TLS listeners again; what is returned puts them to use.
   *
   * @throws {ListenerError} naming a file that cannot be used, or that has expired
   */
  prepareTls(): TlsRenewal;

  /** Closes the listeners and removes their unix sockets; open connections go on. */
  stopAccepting(): Promise<void>;

  /**
   * Ends the server: tells clients to go, answers every request that they had sent before, and
   * after the limit cuts what is still open. A request that a client sends too late is refused in
   * the way that says it was not begun, so that gRPC libraries try it elsewhere by themselves.
   *
   * Every call gives the one promise of the end.
   */
  drain(limitMs: number): Promise<void>;
}

/**
 * Requests that are somewhat too large still get here, to be answered with DATA_TOO_LARGE and what
 * to do. Far larger ones gRPC refuses before they fill the memory.
 */
const OVERSIZE_BYTES = 4 * 1024 * 1024;

/**
 * A client's library holds further requests back. All that a connection offers is read at once, so
 * that this is also for how many calls of one client another waits: with two for each session, and as
 * many as keep this process busy on a fast token, one connection is as fast as it can be, and more
 * would only wait here instead of there. No limit on what a client can make the daemon do, as a stream
 * that is reset makes room at once: {@link Admission} is that.
 */
const MIN_STREAMS_PER_CONNECTION = 16;
const STREAMS_PER_SESSION = 2;

/** A connection whose peer has vanished is closed after both together. */
const KEEPALIVE_INTERVAL_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;

/** For what clients sent before a drain to arrive: the GOAWAY refuses what comes after it. */
const ARRIVAL_MS = 100;

/** For streams that the limit of a drain has ended to hear of it. */
const FAREWELL_MS = 200;

export function createRpcServer(options: RpcServerOptions): RpcServer {
  const { health, limits, observer, defaultDeadlineMs, audit } = options;
  const connections = new Connections({ maxPerClient: limits.maxConnectionsPerClient });
  const turns = new ReadingTurns();
  const environment = {
    connections,
    admission: admissionOf(options, turns),
    defaultDeadlineMs,
    observer,
    audit,
  };
  // The library writes headers that it cannot read to stderr: clients would fill the journal.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server({
    'grpc.enable_channelz': 0,
    'grpc.max_concurrent_streams': Math.max(
      MIN_STREAMS_PER_CONNECTION,
      STREAMS_PER_SESSION * options.sessions,
    ),
    'grpc.max_receive_message_length':
      Math.max(limits.maxDataBytes, MAX_BATCH_BYTES) + OVERSIZE_BYTES,
    'grpc.keepalive_time_ms': KEEPALIVE_INTERVAL_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  });
  const pipelines = new Pipelines(options.signing, environment);
  const messageStreams = new MessageStreams(environment, limits);
  server.addService(
    signingServiceDefinition,
    signingHandlers(options, environment, pipelines, messageStreams),
  );
  const change = changer(options, options.dryRuns);
  server.addService(keyServiceDefinition, {
    ...keyHandlers(options, change, environment),
    ...importHandlers(options.imports, change, environment),
  });
  health.addTo(server);

  // TLS, where there is any, has been dealt with when a connection gets to gRPC.
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listeners: Listener[] = [];
  const events = {
    onConnection: (socket: Socket, caller: Caller) => {
      if (!connections.add(socket, caller)) return false;
      turns.add(socket, caller.client);
      injector.injectConnection(socket);
      return true;
    },
    onRefusal: refusalReport(options.onRefusal),
  };
  let drained: Promise<void> | undefined;

  const stopAccepting = async () => {
    await Promise.all(listeners.map((listener) => listener.close()));
  };

  const endConnections = async (limitMs: number) => {
    const cutAtMs = performance.now() + limitMs;
    await stopAccepting();
    if (connections.open > 0) await pause(Math.min(ARRIVAL_MS, limitMs));
    // What has arrived is read, even if this process was too busy to do so in time.
    await nextTurn();
    // Sends GOAWAY on every connection. Its callback does not say when the requests are answered:
    // it passes over connections that their clients have begun to close.
    server.tryShutdown(() => undefined);
    health.endWatches();
    pipelines.end();
    await connections.empty(Math.max(0, cutAtMs - performance.now()));
    if (messageStreams.shutDown()) await connections.empty(FAREWELL_MS);
    // forceShutdown of grpc-js 1.14 knows no connection when channelz is off.
    for (const listener of listeners) listener.destroyConnections();
  };

  return {
    async listen(listenerOptions) {
      const listener = await Listener.open(listenerOptions, events);
      listeners.push(listener);
      return listener.address;
    },
    tlsExpiries() {
      const expiries = listeners.flatMap(({ tls }) => tls?.expiries ?? []);
      return [...new Map(expiries.map((expiry) => [expiry.file, expiry])).values()];
    },
    prepareTls() {
      const renewals = listeners.flatMap(({ tls }) => tls?.prepare() ?? []);
      return {
        changed: [...new Set(renewals.flatMap(({ changed }) => changed))],
        apply: () => renewals.reduce((closed, { apply }) => closed + apply(), 0),
      };
    },
    stopAccepting,
    drain(limitMs) {
      drained ??= endConnections(limitMs);
      return drained;
    },
  };
}

function admissionOf({ limits, clients = [] }: RpcServerOptions, turns: ReadingTurns): Admission {
  const { rates: inAll = {}, ratesPerClient: perClient = {} } = limits;
  const ownRates = new Map(clients.map(({ name, limits: own }) => [name, own]));
  return new Admission(limits, {
    maxInFlightOf: new Map(
      clients.flatMap(({ name, limits: { maxInFlight } }) =>
        maxInFlight === undefined ? [] : [[name, maxInFlight]],
      ),
    ),
    rates: new RateLimits({ inAll, perClient, clients: ownRates }),
    onRequest: (client, cost) => turns.count(client, cost),
  });
}
