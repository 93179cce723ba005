// node empty-server.js KIND UNIX_SOCKET
//
// A server with sigild's API that does no work, to compare with. It listens on the unix socket and
// on a loopback port, prints its addresses as a line of JSON, and ends with its standard input.

import { createServer } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { KeyVersion } from '../../src/domain/key.ts';
import type { SigningServiceHandlers } from '../../src/generated/sigild/v1/SigningService.ts';
import { Health } from '../../src/rpc/health.ts';
import { v1 } from '../../src/rpc/proto.ts';
import { createRpcServer } from '../../src/rpc/server.ts';

/** `server` is grpc-js alone, `service` is all of sigild that stands in front of its services. */
type Kind = 'server' | 'service';

const HOST = '127.0.0.1';

const VERSION: KeyVersion = {
  key: 'bench',
  id: '0'.repeat(31).concat('1'),
  version: 1,
  algorithm: 'HMAC_SHA256',
  state: 'ACTIVE',
  createTimeMs: 0,
  attributes: {
    sensitive: true,
    extractable: false,
    alwaysSensitive: true,
    neverExtractable: true,
    local: true,
  },
};

const SIGNATURE = Buffer.alloc(32, 1);

const START: Record<Kind, (unixSocket: string) => Promise<string[]>> = {
  server: startServer,
  service: startService,
};

async function startServer(unixSocket: string): Promise<string[]> {
  // sigild's only option that costs or saves a call any time.
  const server = new Server({ 'grpc.enable_channelz': 0 });
  const answer = {
    signature: SIGNATURE,
    version: VERSION.version,
    versionId: VERSION.id,
    algorithm: VERSION.algorithm,
  };
  const handlers: Pick<SigningServiceHandlers, 'Sign'> = {
    Sign: (_call, respond) => respond(null, answer),
  };
  server.addService(v1.SigningService.service, handlers);
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listen = (where: { path: string } | { host: string; port: number }) =>
    new Promise<string>((resolve, reject) => {
      const listener = createServer((socket) => injector.injectConnection(socket));
      listener.once('error', reject);
      listener.listen(where, () => {
        const address = listener.address();
        resolve(typeof address === 'object' ? `${HOST}:${address?.port}` : `unix:${address}`);
      });
    });
  return [await listen({ path: unixSocket }), await listen({ host: HOST, port: 0 })];
}

async function startService(unixSocket: string): Promise<string[]> {
  const none = () => Promise.reject(new Error('it has no keys'));
  const server = createRpcServer({
    signing: {
      sign: async () => ({ signatures: [SIGNATURE], version: VERSION }),
      verify: async () => [],
    },
    streams: { sign: none, verify: none },
    keys: { createKey: none, getKey: none, listKeys: none, getTokenInfo: none },
    lifecycle: { rotateKey: none, updateKeyVersion: none },
    settings: { updateKey: none },
    destruction: { scheduleDestroy: none, restore: none },
    imports: { getImportKey: none, importKey: none },
    publicKeys: { getPublicKey: none, listPublicKeys: none },
    dryRuns: { signing: () => ({ sign: none, verify: none }), change: none },
    health: new Health(),
    sessions: 8,
    limits: {
      maxDataBytes: 1_048_576,
      maxInFlight: 4_096,
      maxInFlightPerClient: 2_048,
      maxConnectionsPerClient: 256,
      maxStreamsPerClient: 64,
      maxSigningStreams: 128,
      maxSigningStreamsPerClient: 64,
      signingStreamIdleMs: 10_000,
      signingStreamLimitMs: 600_000,
    },
    defaultDeadlineMs: 5_000,
    observer: { onRequest: undefined, onDefect: (error) => console.error(error) },
    onRefusal: (refusal) => console.error(refusal),
  });
  const identity = { kind: 'client', client: 'bench' } as const;
  return [
    await server.listen({
      address: { kind: 'unix', path: unixSocket, mode: 0o600, group: undefined },
      identity,
    }),
    await server.listen({ address: { kind: 'tcp', host: HOST, port: 0 }, identity }),
  ];
}

const [kind, unixSocket = ''] = process.argv.slice(2);
if (kind !== 'server' && kind !== 'service') throw new Error(`no kind of server: ${kind}`);
console.log(JSON.stringify(await START[kind](unixSocket)));
process.stdin.once('end', () => process.exit()).resume();
