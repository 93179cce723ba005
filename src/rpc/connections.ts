import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { Tally } from './tally.ts';

/** Who is at the other end of a connection. */
export interface Caller {
  /** The client's identity: what its listener or its certificate says. */
  readonly client: string;
  /** For the log: an address and port, or the listener's address where the peer has none. */
  readonly peer: string;
}

/**
 * How long a peer has to say that it speaks HTTP/2: a preface of 24 bytes and a SETTINGS frame, whose
 * head has 9. Everything after that gRPC's keepalive bounds.
 */
const PREFACE_LIMIT_MS = 10_000;
const PREFACE_BYTES = 33;

export interface ConnectionsOptions {
  /** Of one client; further ones are closed. */
  readonly maxPerClient?: number;
  readonly prefaceLimitMs?: number;
}

/** How long a peer has to close its side of a connection when this side is closed. */
const LINGER_MS = 2_000;

/**
 * The open connections and their callers.
 *
 * gRPC tells a handler of its connection only the peer's address, which a unix socket has not and
 * which two listeners may see twice. So each connection gets a name of its own in the address's
 * place, which is what `call.getPeer()` then returns. A client has no way to choose it.
 */
export class Connections {
  readonly #callers = new Map<string, Caller>();
  readonly #ofClients = new Tally();
  readonly #maxPerClient: number;
  readonly #prefaceLimitMs: number;
  #opened = 0;
  #emptied: () => void = () => undefined;

  constructor(options: ConnectionsOptions = {}) {
    this.#maxPerClient = options.maxPerClient ?? Number.POSITIVE_INFINITY;
    this.#prefaceLimitMs = options.prefaceLimitMs ?? PREFACE_LIMIT_MS;
  }

  /**
   * @param socket one that no HTTP/2 session owns yet; it is forgotten when it closes
   * @returns false when the client has too many connections; the socket is destroyed then
   */
  add(socket: Socket, caller: Caller): boolean {
    if (this.#ofClients.of(caller.client) >= this.#maxPerClient) {
      socket.destroy();
      return false;
    }
    this.#ofClients.add(caller.client);
    this.#opened += 1;
    const name = `connection-${this.#opened}`;
    Object.defineProperties(socket, {
      remoteAddress: { value: name },
      remotePort: { value: undefined },
    });
    this.#callers.set(name, caller);
    socket.once('finish', () => {
      setTimeout(() => socket.destroy(), LINGER_MS).unref();
    });
    const readBefore = socket.bytesRead;
    const limit = setTimeout(() => {
      if (socket.bytesRead - readBefore < PREFACE_BYTES) socket.destroy();
    }, this.#prefaceLimitMs).unref();
    socket.once('close', () => {
      clearTimeout(limit);
      this.#remove(name, caller.client);
    });
    return true;
  }

  /** @returns undefined when the connection of that name has closed */
  callerOf(name: string): Caller | undefined {
    return this.#callers.get(name);
  }

  get open(): number {
    return this.#callers.size;
  }

  /** Waits until no connection is open, for `limitMs` at most. */
  async empty(limitMs: number): Promise<void> {
    if (this.#callers.size === 0) return;
    const limit = new AbortController();
    this.#emptied = () => limit.abort();
    await pause(limitMs, undefined, { signal: limit.signal }).catch(() => undefined);
  }

  #remove(name: string, client: string): void {
    this.#callers.delete(name);
    this.#ofClients.remove(client);
    if (this.#callers.size === 0) this.#emptied();
  }
}
