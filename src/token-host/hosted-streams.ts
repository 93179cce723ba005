import { signatureBytes } from '../domain/algorithm.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import { SigildError } from '../domain/errors.ts';
import type { KeyVersion } from '../domain/key.ts';
import type { TokenStream } from '../service/token-values.ts';
import { type CallOptions, HostLost } from './call.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { FingerprintRegister } from './fingerprint-register.ts';
import type { Host } from './host.ts';
import type { Lane } from './lane.ts';
import type { Place } from './lane-pool.ts';
import { decodeFingerprints, decodeIndexes, decodeResult } from './mac-frames.ts';
import { encodeJson, OPERATION } from './protocol.ts';
import {
  encodeStreamEnd,
  encodeStreamOpening,
  encodeStreamPiece,
  type StreamOpening,
} from './stream-frames.ts';

export interface HostedStreamsOptions {
  readonly dispatcher: Pick<Dispatcher, 'hosts' | 'submitOn'>;
  readonly fingerprints: FingerprintRegister;
  readonly callTimeoutMs: number;
}

/** What is done with a message that comes in pieces. */
interface StreamPlan<Result> {
  readonly operation: StreamOpening['operation'];
  readonly versions: readonly KeyVersion[];
  /** What is verified; absent where the message is signed. */
  readonly mac?: Uint8Array;
  /** The length of a result that can be right. */
  readonly resultBytes: number;
  readonly decode: (result: Buffer) => Result;
}

/** A lane works on pieces no longer than this, so that nobody waits for a large one. */
const MAX_PIECE_BYTES = 64 * 1024;

/** How many pieces of one stream are with its lane, which keep it busy and bound what waits there. */
const MAX_PIECES_AHEAD = 4;

/** How often a host may be lost on which a stream begins: no data have come yet. */
const MAX_LOST = 1;

const RETRY_MS = 1_000;

/**
 * Messages that come in pieces, over host processes.
 *
 * All calls of a stream go to one lane, whose thread has its sessions; they wait there for what came
 * before, and what comes later waits for them. Lanes share the streams evenly. A stream ends with its
 * host: what the host was given is gone.
 */
export class HostedStreams {
  readonly #options: HostedStreamsOptions;
  /** How many streams each lane has. */
  readonly #open = new WeakMap<Lane, number>();
  #nextNumber = 0;

  constructor(options: HostedStreamsOptions) {
    this.#options = options;
  }

  /** @throws {SigildError} as Token.signStream */
  sign(version: KeyVersion, signal: Cancellation): Promise<TokenStream<Uint8Array>> {
    const resultBytes = signatureBytes(version.algorithm);
    const decode = (result: Buffer) => result;
    return this.#begin({ operation: 'sign', versions: [version], resultBytes, decode }, signal);
  }

  /** @throws {SigildError} as Token.verifyStream */
  verify(
    versions: readonly KeyVersion[],
    mac: Uint8Array,
    signal: Cancellation,
  ): Promise<TokenStream<KeyVersion | undefined>> {
    const decode = (result: Buffer) => versions[decodeIndexes(result)[0] ?? -1];
    return this.#begin({ operation: 'verify', versions, mac, resultBytes: 2, decode }, signal);
  }

  async #begin<Result>(
    plan: StreamPlan<Result>,
    signal: Cancellation,
  ): Promise<TokenStream<Result>> {
    for (let lost = 0; ; lost += 1) {
      const stream = this.#stream(plan, signal);
      try {
        await stream.open();
        return stream;
      } catch (error) {
        stream.abandon();
        if (!(error instanceof HostLost) || lost === MAX_LOST) throw error;
      }
    }
  }

  #stream<Result>(plan: StreamPlan<Result>, signal: Cancellation): HostedStream<Result> {
    const place = this.#choose();
    const number = this.#nextNumber;
    this.#nextNumber = (number + 1) >>> 0;
    this.#count(place.lane, 1);
    const onEnd = () => this.#count(place.lane, -1);
    return new HostedStream(number, plan, { ...this.#options, place, signal, onEnd });
  }

  /** The lane with the fewest streams, and of those one that has little to do. */
  #choose(): Place<Host> {
    const places = this.#options.dispatcher.hosts.flatMap((host) =>
      host.lanes.map((lane) => ({ host, lane })),
    );
    const [least] = places.sort(
      (a, b) =>
        this.#streamsOf(a.lane) - this.#streamsOf(b.lane) ||
        a.lane.macsInFlight - b.lane.macsInFlight,
    );
    if (least) return least;
    throw new SigildError('TOKEN_UNAVAILABLE', 'no token host is logged in to the token', {
      retryAfterMs: RETRY_MS,
    });
  }

  #streamsOf(lane: Lane): number {
    return this.#open.get(lane) ?? 0;
  }

  #count(lane: Lane, streams: number): void {
    this.#open.set(lane, this.#streamsOf(lane) + streams);
  }
}

interface HostedStreamOptions extends HostedStreamsOptions {
  readonly place: Place<Host>;
  readonly signal: Cancellation;
  /** Told once, when nothing more is sent for it. */
  readonly onEnd: () => void;
}

class HostedStream<Result> implements TokenStream<Result> {
  readonly #number: number;
  readonly #plan: StreamPlan<Result>;
  readonly #options: HostedStreamOptions;
  /** The answers to pieces that are with the lane, in order. */
  readonly #ahead: Promise<unknown>[] = [];
  #hasEnded = false;

  constructor(number: number, plan: StreamPlan<Result>, options: HostedStreamOptions) {
    this.#number = number;
    this.#plan = plan;
    this.#options = options;
  }

  async open(): Promise<void> {
    const { operation, versions } = this.#plan;
    const frame = encodeStreamOpening({ stream: this.#number, operation, refs: versions });
    await this.#submit(frame, (answer) =>
      this.#options.fingerprints.check(decodeFingerprints(answer), versions),
    );
  }

  async update(piece: Uint8Array): Promise<void> {
    for (let start = 0; start < piece.byteLength; start += MAX_PIECE_BYTES) {
      const part = piece.subarray(start, start + MAX_PIECE_BYTES);
      const taken = this.#submit(encodeStreamPiece(this.#number, part));
      // Whoever waits for it hears of its failure, and for the last ones nobody may.
      taken.catch(() => undefined);
      this.#ahead.push(taken);
      if (this.#ahead.length >= MAX_PIECES_AHEAD) await this.#ahead.shift();
    }
  }

  async finish(): Promise<Result> {
    for (const taken of this.#ahead) await taken;
    const { mac, resultBytes, decode } = this.#plan;
    const end = encodeStreamEnd({
      stream: this.#number,
      ...(mac && { mac: Buffer.from(mac).toString('base64') }),
    });
    const answer = await this.#submit(end, (payload) => {
      if (decodeResult(payload).byteLength === resultBytes) return undefined;
      throw new Error('it gave a result of the wrong length');
    });
    this.#end();
    return decode(decodeResult(answer));
  }

  abandon(): void {
    if (this.#hasEnded) return;
    this.#end();
    const frame = encodeJson(OPERATION.abandonStream, this.#number);
    const { signal } = new AbortController();
    // Where the host is lost, its sessions are too.
    this.#submit(frame, undefined, signal).catch(() => undefined);
  }

  #end(): void {
    this.#hasEnded = true;
    this.#options.onEnd();
  }

  #submit(
    frame: Buffer,
    check?: CallOptions['check'],
    signal: Cancellation = this.#options.signal,
  ): Promise<Buffer> {
    const { dispatcher, place, callTimeoutMs: limitMs } = this.#options;
    const options = { repeatable: false, macs: 0, isStep: true, limitMs, signal };
    return dispatcher.submitOn(place, frame, { ...options, ...(check && { check }) });
  }
}
