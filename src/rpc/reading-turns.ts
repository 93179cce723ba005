import type { Socket } from 'node:net';
import type { Cost } from './rate-limits.ts';

/**
 * What one client may ask for before what others have sent is read. 16 calls take gRPC about two
 * milliseconds, which is about how much longer another client may wait for its turn.
 */
const CALLS_PER_TURN = 16;

/** What an item of a batch takes in this process is about this part of what a call takes. */
const ITEMS_PER_CALL = 32;

/** A client that has asked for nothing for so long is not waited for. */
const ACTIVE_MS = 100;

interface Reader {
  readonly sockets: Set<Socket>;
  /** What was asked for in this turn, in calls. */
  asked: number;
  isPaused: boolean;
}

/**
 * Reads from clients in turns, so that none has the event loop for itself: Node reads all that a
 * connection has on offer, and a client with many connections offers thousands of requests at once.
 * One that has asked for much in a turn of the event loop is read again when the others were, and,
 * while another client is active, not before as much time has passed as its turn took. Its requests
 * wait in its own sockets meanwhile, which costs the daemon nothing.
 */
export class ReadingTurns {
  readonly #readers = new Map<string, Reader>();
  /** Those that have asked for something in this turn. */
  readonly #active = new Set<Reader>();
  #turnBeganAtMs = 0;
  #latest: Reader | undefined;
  /** When one client asked for something after another one. */
  #contestedAtMs = Number.NEGATIVE_INFINITY;

  /** @param socket is forgotten when it closes */
  add(socket: Socket, client: string): void {
    const reader = this.#readers.get(client) ?? newReader();
    this.#readers.set(client, reader);
    reader.sockets.add(socket);
    if (reader.isPaused) setReading(socket, false);
    socket.once('close', () => {
      reader.sockets.delete(socket);
      if (reader.sockets.size === 0) this.#readers.delete(client);
    });
  }

  /** Tells of a request that was read. */
  count(client: string, { calls }: Cost): void {
    const reader = this.#readers.get(client);
    if (!reader) return;
    if (this.#active.size === 0) this.#beginTurn();
    this.#active.add(reader);
    if (reader !== this.#latest) this.#contestedAtMs = performance.now();
    this.#latest = reader;
    reader.asked += 1 + (calls - 1) / ITEMS_PER_CALL;
    if (reader.asked >= CALLS_PER_TURN && !reader.isPaused) pause(reader);
  }

  #beginTurn(): void {
    this.#turnBeganAtMs = performance.now();
    setImmediate(() => this.#endTurn());
  }

  #endTurn(): void {
    const nowMs = performance.now();
    const isContested = nowMs - this.#contestedAtMs < ACTIVE_MS;
    for (const reader of this.#active) {
      reader.asked = 0;
      if (!reader.isPaused) continue;
      if (isContested) setTimeout(() => resume(reader), nowMs - this.#turnBeganAtMs);
      else setImmediate(() => resume(reader));
    }
    this.#active.clear();
  }
}

function newReader(): Reader {
  return { sockets: new Set(), asked: 0, isPaused: false };
}

function pause(reader: Reader): void {
  reader.isPaused = true;
  for (const socket of reader.sockets) setReading(socket, false);
}

function resume(reader: Reader): void {
  const { sockets } = reader;
  reader.isPaused = false;
  for (const socket of sockets) setReading(socket, true);
  // One connection may ask for all of a turn: another comes first the next time.
  const [first] = sockets;
  if (!first) return;
  sockets.delete(first);
  sockets.add(first);
}

interface Handle {
  readStart(): number;
  readStop(): number;
}

/**
 * The HTTP/2 session reads from the socket's handle and heeds no pause of the socket's, and Node 20
 * has no public way to make it wait. It starts reading by itself after it has waited to write, which
 * does no harm: the next request counts again.
 */
function setReading(socket: Socket, reads: boolean): void {
  const handle: Partial<Handle> | undefined = Reflect.get(socket, '_handle') ?? undefined;
  if (reads) handle?.readStart?.();
  else handle?.readStop?.();
}
