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
   * is revoked, or has no authority any more that vouches for it.
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
    const { clientCa, clientCrl } = this.#files;
    const concernsClients = changed.some((file) => file === clientCa || file === clientCrl);
    return {
      changed,
      apply: () => {
        this.server.setSecureContext(credentials.context);
        this.#credentials = credentials;
        return concernsClients ? this.#closeUntrusted() : 0;
      },
    };
  }

  #closeUntrusted(): number {
    const untrusted = [...this.#open].filter(
      (socket) => !this.#isTrusted(socket.getPeerX509Certificate()),
    );
    for (const socket of untrusted) socket.destroy();
    return untrusted.length;
  }

  #accept(socket: TLSSocket): void {
    const certificate = socket.getPeerX509Certificate();
    const client = certificate && clientOf(certificate);
    if (client === undefined) {
      this.#refuse(socket, 'the certificate names no client');
    } else if (socket.alpnProtocol !== HTTP2) {
      this.#refuse(socket, 'not HTTP/2');
    } else if (!this.#isTrusted(certificate)) {
      this.#refuse(socket, 'the certificate was revoked while its handshake went on');
    } else {
      this.#open.add(socket);
      socket.once('close', () => this.#open.delete(socket));
      this.#events.onConnection(socket, client);
    }
  }

  #refuse(socket: TLSSocket, reason: string): void {
    this.#events.onRefusal(socket, reason);
    socket.destroy();
  }

  #isTrusted(certificate: X509Certificate | undefined): boolean {
    try {
      return certificate !== undefined && this.#credentials.isTrusted(certificate);
    } catch {
      // One that cannot be read could be on a list.
      return false;
    }
  }
}
