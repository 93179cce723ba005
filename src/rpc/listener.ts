import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { Caller } from './connections.ts';
import { ListenerError } from './listener-error.ts';
import { type IdentifyPeer, type PeerRule, peerIdentifier } from './peer-identity.ts';
import type { TlsFiles } from './tls-credentials.ts';
import { TlsServer } from './tls-server.ts';
import { listenOnUnixSocket, type UnixAddress } from './unix-socket.ts';

export type ListenerAddress =
  | UnixAddress
  /** `host` is an IP address without brackets; port 0 is any free port. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** A listening socket that the service manager passed; it is closed but never unlinked. */
  | { readonly kind: 'fd'; readonly fd: number };

export type ListenerIdentity =
  /** Everyone who connects is this client; on TCP for loopback alone. */
  | { readonly kind: 'client'; readonly client: string }
  /** The kernel says whose process it is; on unix sockets alone. */
  | { readonly kind: 'peers'; readonly peers: readonly PeerRule[] }
  /** Everyone proves who they are with a certificate. */
  | { readonly kind: 'certificate'; readonly tls: TlsFiles };

export interface ListenerOptions {
  readonly address: ListenerAddress;
  readonly identity: ListenerIdentity;
}

/** A connection that was turned away before it could ask for anything. */
export interface Refusal {
  /** The listener's address. */
  readonly listener: string;
  /** Undefined where the peer has no address. */
  readonly peer: string | undefined;
  /** A code or words without anything that the peer sent. */
  readonly reason: string;
}

export interface ListenerEvents {
  /**
   * Takes over a connection whose caller is known.
   *
   * @returns false when its client has too many already, and it was closed
   */
  readonly onConnection: (socket: Socket, caller: Caller) => boolean;
  readonly onRefusal: (refusal: Refusal) => void;
}

/** More would be clients that open connections and do not close them. */
const MAX_CONNECTIONS = 1_024;

/** Accepts connections at one address and knows who is at their other end. */
export class Listener {
  readonly #server: Server;
  readonly #events: ListenerEvents;
  readonly #sockets = new Set<Socket>();
  #tls: TlsServer | undefined;
  #address = '';
  #identify: IdentifyPeer = () => ({ client: undefined, refusal: 'it came too early' });
  #release: () => Promise<void> = async () => undefined;
  #closed = false;

  private constructor(identity: ListenerIdentity, events: ListenerEvents) {
    this.#events = events;
    this.#server = this.#createServer(identity);
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('drop', () => this.#refuse(undefined, 'too many connections'));
  }

  /** @throws {ListenerError} */
  static async open(
    { address, identity }: ListenerOptions,
    events: ListenerEvents,
  ): Promise<Listener> {
    const listener = new Listener(identity, events);
    try {
      if (identity.kind === 'peers') await listener.#learn(identity.peers);
      await listener.#listen(address);
      if (identity.kind === 'client') listener.#assertLocal();
      if (identity.kind === 'peers') listener.#assertUnix();
    } catch (error) {
      await listener.close();
      throw asListenerError(error, address);
    }
    // From here on an error is a connection that could not be accepted, for want of descriptors.
    listener.#server.on('error', (error) => listener.#refuse(undefined, codeOf(error)));
    return listener;
  }

  /** Where it listens, as clients write it: `unix:PATH`, `HOST:PORT` or `fd:NUMBER`. */
  get address(): string {
    return this.#address;
  }

  /** Undefined where clients need no certificate. */
  get tls(): TlsServer | undefined {
    return this.#tls;
  }

  /** Stops listening; connections stay. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#server.close();
    // A socket that cannot be removed stays as one that nobody answers, which the next start replaces.
    await this.#release().catch(() => undefined);
  }

  /** Cuts every connection that is still open. */
  destroyConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #createServer(identity: ListenerIdentity): Server {
    if (identity.kind === 'client') {
      return createServer((socket) => this.#accept(socket, identity.client));
    }
    if (identity.kind === 'peers') return createServer((socket) => this.#acceptPeer(socket));
    this.#tls = new TlsServer(identity.tls, {
      onConnection: (socket, client) => this.#accept(socket, client),
      onRefusal: (socket, reason) => this.#refuse(peerOf(socket), reason),
    });
    return this.#tls.server;
  }

  async #learn(rules: readonly PeerRule[]): Promise<void> {
    this.#identify = await peerIdentifier(rules);
  }

  #accept(socket: Socket, client: string, peer = peerOf(socket) ?? this.#address): void {
    // A TLS handshake may end after the listener was closed.
    if (this.#closed) {
      socket.destroy();
      return;
    }
    const isTaken = this.#events.onConnection(socket, { client, peer });
    if (!isTaken) this.#refuse(peer, 'too many connections of one client');
  }

  #acceptPeer(socket: Socket): void {
    const peer = this.#identify(socket);
    if (peer.client !== undefined) {
      this.#accept(socket, peer.client, `${this.#address} (${peer.description})`);
      return;
    }
    this.#refuse(peer.description, peer.refusal);
    socket.destroy();
  }

  #refuse(peer: string | undefined, reason: string): void {
    this.#events.onRefusal({ listener: this.#address, peer, reason });
  }

  async #listen(address: ListenerAddress): Promise<void> {
    if (address.kind === 'unix') {
      this.#release = await listenOnUnixSocket(this.#server, address);
      this.#address = `unix:${address.path}`;
      return;
    }
    this.#server.listen(address);
    await once(this.#server, 'listening');
    const bound = this.#server.address();
    if (bound === null || typeof bound === 'string') this.#address = nameOf(address);
    else this.#address = hostAndPort(bound.address, bound.port);
  }

  #assertUnix(): void {
    const bound = this.#server.address();
    if (bound === null || typeof bound === 'string') return;
    throw new ListenerError(
      'configuration',
      `${this.#address} is no unix socket: its peers have no users; it needs TLS`,
    );
  }

  #assertLocal(): void {
    const bound = this.#server.address();
    if (bound === null || typeof bound === 'string') return;
    if (bound.address === '::1' || bound.address.startsWith('127.')) return;
    throw new ListenerError(
      'configuration',
      `${this.#address} can be reached from other machines; it needs TLS`,
    );
  }
}

function nameOf(address: ListenerAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return address.kind === 'fd' ? `fd:${address.fd}` : hostAndPort(address.host, address.port);
}

function peerOf({ remoteAddress, remotePort }: Socket): string | undefined {
  if (remoteAddress === undefined || remotePort === undefined) return undefined;
  return hostAndPort(remoteAddress, remotePort);
}

export function hostAndPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

export function asListenerError(error: unknown, address: ListenerAddress): ListenerError {
  if (error instanceof ListenerError) return error;
  const kind = codeOf(error) === 'EADDRINUSE' ? 'in-use' : 'configuration';
  const what = error instanceof Error ? error.message : String(error);
  return new ListenerError(kind, `cannot listen on ${nameOf(address)}: ${what}`, error);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
}
