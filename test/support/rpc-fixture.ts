import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { ALGORITHM_NAMES } from '../../src/domain/algorithm.ts';
import { namePattern } from '../../src/domain/name-pattern.ts';
import { Health } from '../../src/rpc/health.ts';
import type { ListenerOptions } from '../../src/rpc/listener.ts';
import type { ReportedRefusal } from '../../src/rpc/refusal-report.ts';
import type { RequestRecord } from '../../src/rpc/request.ts';
import { createRpcServer, type RpcServer, type RpcServerOptions } from '../../src/rpc/server.ts';
import { AccessPolicy, type Grant, OPERATIONS } from '../../src/service/access-policy.ts';
import { DryRuns } from '../../src/service/dry-runs.ts';
import { ImportKeyRegister } from '../../src/service/import-key-register.ts';
import { KeyCatalog } from '../../src/service/key-catalog.ts';
import { KeyDestruction } from '../../src/service/key-destruction.ts';
import { KeyImport } from '../../src/service/key-import.ts';
import { KeyLifecycle } from '../../src/service/key-lifecycle.ts';
import { KeyService } from '../../src/service/key-service.ts';
import { KeySettingsService } from '../../src/service/key-settings.ts';
import { PublicKeyService } from '../../src/service/public-key-service.ts';
import { SigningService } from '../../src/service/signing-service.ts';
import { StreamService } from '../../src/service/stream-service.ts';
import { Turns } from '../../src/service/turns.ts';
import { connectClient, type TestClient } from './client.ts';
import { FakeToken } from './fake-token.ts';

export const MAX_DATA_BYTES = 1_024 * 1_024;

/** Grants of everything on every key. */
export const EVERYTHING: readonly Grant[] = [{ keys: [namePattern('*')], operations: OPERATIONS }];

export interface RpcFixtureOptions {
  /** Of the token. */
  readonly sessions?: number;
  readonly limits?: Partial<RpcServerOptions['limits']>;
  readonly clients?: NonNullable<RpcServerOptions['clients']>;
  readonly defaultDeadlineMs?: number;
  /** By client; the client `test` may do everything unless they say otherwise. */
  readonly grants?: Readonly<Record<string, readonly Grant[]>>;
}

/** The gRPC server in this process, with the real services on a token in memory. */
export interface RpcFixture {
  readonly server: RpcServer;
  readonly health: Health;
  readonly token: FakeToken;
  /** A temporary folder, removed by {@link close}. */
  readonly folder: string;
  readonly requests: readonly RequestRecord[];
  readonly defects: readonly unknown[];
  readonly refusals: readonly ReportedRefusal[];
  /** Opens a unix socket in the folder; without a name, for the client `test`. */
  listen(name?: string, options?: Partial<ListenerOptions>): Promise<string>;
  connect(address: string, channel?: ChannelCredentials, deadlineMs?: number): TestClient;
  close(): Promise<void>;
}

export function startRpc(options: RpcFixtureOptions = {}): RpcFixture {
  const folder = mkdtempSync(join(tmpdir(), 'sigild-rpc-'));
  const token = new FakeToken();
  const health = new Health();
  const requests: RequestRecord[] = [];
  const defects: unknown[] = [];
  const refusals: ReportedRefusal[] = [];
  const clients: TestClient[] = [];
  const server = createRpcServer({
    ...services(token, options.grants),
    health,
    sessions: options.sessions ?? 50,
    limits: {
      maxDataBytes: MAX_DATA_BYTES,
      maxInFlight: 1_000,
      maxInFlightPerClient: 500,
      maxConnectionsPerClient: 64,
      maxStreamsPerClient: 64,
      maxSigningStreams: 128,
      maxSigningStreamsPerClient: 64,
      signingStreamIdleMs: 10_000,
      signingStreamLimitMs: 60_000,
      ...options.limits,
    },
    clients: options.clients ?? [],
    defaultDeadlineMs: options.defaultDeadlineMs ?? 10_000,
    observer: {
      onRequest: (request) => requests.push(request),
      onDefect: (error) => defects.push(error),
    },
    onRefusal: (refusal) => refusals.push(refusal),
  });
  return {
    ...{ server, health, token, folder, requests, defects, refusals },
    listen: (name = 'sigild.sock', listener = {}) =>
      server.listen({
        address: { kind: 'unix', path: join(folder, name), mode: 0o600, group: undefined },
        identity: { kind: 'client', client: 'test' },
        ...listener,
      }),
    connect: (...args) => {
      const client = connectClient(...args);
      clients.push(client);
      return client;
    },
    close: async () => {
      for (const client of clients) client.close();
      await server.drain(0);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function services(token: FakeToken, grants: RpcFixtureOptions['grants']) {
  const catalog = new KeyCatalog({ token, lookupTimeoutMs: 5_000, onAmbiguous: () => undefined });
  const policy = new AccessPolicy(new Map(Object.entries({ test: EVERYTHING, ...grants })));
  const enabledAlgorithms = new Set(ALGORITHM_NAMES);
  const shared = {
    token,
    catalog,
    policy,
    enabledAlgorithms,
    minRotationPeriodMs: 3_600_000,
    turns: new Turns(),
    importKeys: new ImportKeyRegister(),
    maxDataBytes: MAX_DATA_BYTES,
  };
  const delays = { destroyDelayMs: 2_592_000_000, minDestroyDelayMs: 0 };
  const lifecycle = new KeyLifecycle(shared);
  return {
    dryRuns: new DryRuns({ ...shared, ...delays, lookupTimeoutMs: 5_000 }),
    signing: new SigningService(shared),
    streams: new StreamService(shared),
    keys: new KeyService(shared),
    lifecycle,
    imports: new KeyImport({ ...shared, lifecycle }),
    settings: new KeySettingsService(shared),
    publicKeys: new PublicKeyService(shared),
    destruction: new KeyDestruction({
      ...shared,
      ...{ ...delays, onDestroyed: () => undefined },
    }),
  };
}
