import { constants, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { clientOf } from './certificate-identity.ts';
import { ListenerError } from './listener-error.ts';

/** Paths of PEM files. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
  /** The authorities that may vouch for clients. */
  readonly clientCa: string;
}

export interface TlsServerEvents {
  readonly onConnection: (socket: TLSSocket, client: string) => void;
  readonly onRefusal: (socket: TLSSocket, reason: string) => void;
}

const HANDSHAKE_TIMEOUT_MS = 10_000;
const HTTP2 = 'h2';

/**
 * A server for TLS 1.3 and HTTP/2 whose clients all prove who they are.
 *
 * @throws {ListenerError} naming the file that cannot be used
 */
export function createTlsServer(files: TlsFiles, events: TlsServerEvents): Server {
  const clientCa = read(files.clientCa);
  // A file without a certificate would be no error for Node: just nobody could connect.
  using(files.clientCa, () => new X509Certificate(clientCa));
  const server = using(`${files.certificate} with ${files.key}`, () =>
    createServer({
      cert: read(files.certificate),
      key: read(files.key),
      ca: clientCa,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
      // Without tickets every connection proves its certificate; a resumed one would not.
      secureOptions: constants.SSL_OP_NO_TICKET,
      ALPNProtocols: [HTTP2],
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    }),
  );
  server.on('secureConnection', (socket) => {
    const client = clientNamedBy(socket);
    if (client !== undefined && socket.alpnProtocol === HTTP2) {
      events.onConnection(socket, client);
      return;
    }
    events.onRefusal(
      socket,
      client === undefined ? 'the certificate names no client' : 'not HTTP/2',
    );
    socket.destroy();
  });
  server.on('tlsClientError', (error, socket) => {
    // The certificate's fault where there is one; the error only says that the connection ended.
    const reason: unknown = socket.authorizationError ?? ('code' in error && error.code);
    events.onRefusal(socket, String(reason || 'TLS error'));
  });
  return server;
}

function clientNamedBy(socket: TLSSocket): string | undefined {
  const certificate = socket.getPeerX509Certificate();
  return certificate && clientOf(certificate);
}

function read(file: string): Buffer {
  return using(file, () => readFileSync(file));
}

function using<Result>(what: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (error instanceof ListenerError) throw error;
    const problem = error instanceof Error ? error.message : String(error);
    throw new ListenerError('configuration', `cannot use ${what}: ${problem}`, error);
  }
}
