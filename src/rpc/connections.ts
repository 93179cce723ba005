import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** Who is at the other end of a connection. */
export interface Caller {
  /** The client's identity: what its listener or its certificate says. */
  readonly client: string;
  /** For the log: an address and port, or the listener's address where the peer has none. */
  readonly peer: string;
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
  #opened = 0;
  #emptied: () => void = () => undefined;

  /** @param socket one that no HTTP/2 session owns yet; it is forgotten when it closes */
  add(socket: Socket, caller: Caller): void {
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
    socket.once('close', () => this.#remove(name));
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

  #remove(name: string): void {
    this.#callers.delete(name);
    if (this.#callers.size === 0) this.#emptied();
  }
}
