import type { X509Certificate } from 'node:crypto';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { clientOf } from './certificate-identity.ts';
import {
  assertCurrent,
  type FileExpiry,
  readTlsCredentials,
  type TlsCredentials,
  type TlsFiles,
} from './tls-credentials.ts';

export interface TlsServerEvents {
  readonly onConnection: (socket: TLSSocket, client: string) => void;
  readonly onRefusal: (socket: TLSSocket, reason: string) => void;
}

/** What the files of a server say by now; nothing has changed yet. */
export interface TlsRenewal {
  /** The files whose content is another. */
  readonly changed: readonly string[];
  /**
   * Uses them from the next handshake on. Open connections stay, but for those whose certificate
   * is revoked.
   *
   * @returns how many were closed
   */
  readonly apply: () => number;
}

const HANDSHAKE_TIMEOUT_MS = 10_000;
const HTTP2 = 'h2';

/** A server for TLS 1.3 and HTTP/2 whose clients all prove who they are. */
export class TlsServer {
  readonly server: Server;
  readonly #files: TlsFiles;
  readonly #events: TlsServerEvents;
  readonly #open = new Set<TLSSocket>();
  #credentials: TlsCredentials;

  /** @throws {ListenerError} naming the file that cannot be used */
  constructor(files: TlsFiles, events: TlsServerEvents) {
    this.#files = files;
    this.#events = events;
    this.#credentials = readTlsCredentials(files);
    this.server = createServer({
      ...this.#credentials.context,
      requestCert: true,
      rejectUnauthorized: true,
      ALPNProtocols: [HTTP2],
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    });
    this.server.on('secureConnection', (socket) => this.#accept(socket));
    this.server.on('tlsClientError', (error, socket) => {
      // The certificate's fault where there is one; the error only says that the connection ended.
      const reason: unknown = socket.authorizationError ?? ('code' in error && error.code);
      events.onRefusal(socket, String(reason || 'TLS error'));
    });
  }

  get expiries(): readonly FileExpiry[] {
    return this.#credentials.expiries;
  }

  /**
   * Reads the files again.
   *
   * @throws {ListenerError} naming a file that cannot be used, or that has expired
   */
  prepare(): TlsRenewal {
    const credentials = readTlsCredentials(this.#files);
    const { digests } = this.#credentials;
    const changed = [...credentials.digests]
      .filter(([file, digest]) => digests.get(file) !== digest)
      .map(([file]) => file);
    if (changed.length === 0) return { changed, apply: () => 0 };
    assertCurrent(credentials);
    return { changed, apply: () => this.#renew(credentials) };
  }

  #renew(credentials: TlsCredentials): number {
    this.server.setSecureContext(credentials.context);
    this.#credentials = credentials;
    const revoked = [...this.#open].filter((socket) => {
      const certificate = socket.getPeerX509Certificate();
      return certificate !== undefined && credentials.isRevoked(certificate);
    });
    for (const socket of revoked) socket.destroy();
    return revoked.length;
  }

  #accept(socket: TLSSocket): void {
    const certificate = socket.getPeerX509Certificate();
    const client = certificate && clientOf(certificate);
    const problem = this.#problemOf(socket, certificate, client);
    if (problem !== undefined || client === undefined) {
      this.#events.onRefusal(socket, problem ?? 'no certificate');
      socket.destroy();
      return;
    }
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    this.#events.onConnection(socket, client);
  }

  #problemOf(
    socket: TLSSocket,
    certificate: X509Certificate | undefined,
    client: string | undefined,
  ): string | undefined {
    if (client === undefined) return 'the certificate names no client';
    if (socket.alpnProtocol !== HTTP2) return 'not HTTP/2';
    // Its handshake may have begun before the list came that revokes it.
    return certificate && this.#credentials.isRevoked(certificate) ? 'CERT_REVOKED' : undefined;
  }
}
