import type { Client } from '@grpc/grpc-js';
import type { PipelineResponse__Output } from '../generated/sigild/v1/PipelineResponse.ts';
import { resultsOf } from './answers.ts';
import { backoffMs } from './backoff.ts';
import { FrameStream } from './frame-stream.ts';
import { type Frame, FrameTable } from './frame-table.ts';
import { type Batch, Lanes } from './lanes.ts';
import { type Failure, failureOfFrame, SigildError } from './sigild-error.ts';
import type { SigningCall, SigningCalls } from './signing-calls.ts';
import type { SigningResult } from './signing-results.ts';

/** As many frames with callers that wait are on their way at most; meanwhile, calls gather. */
const WINDOW = 8;

/** The daemon reads no further with as many, those included for which nobody waits any more. */
const MAX_UNANSWERED = 64;

/** Reasons that one item has and for which its whole frame fails. */
const ITEM_REASONS: readonly string[] = ['DATA_TOO_LARGE', 'DATA_RESERVED'];

/**
 * Sends calls in frames over one stream.
 *
 * A call that finds the window open leaves as soon as the code that runs now has run, together with
 * the calls that were made until then. While the window is full, calls gather, and leave as answers
 * come: the busier the daemon, the fuller the frames.
 */
export class Pipeline {
  readonly #client: Client;
  readonly #calls: SigningCalls;
  readonly #lanes = new Lanes();
  readonly #frames = new FrameTable(MAX_UNANSWERED);
  #stream: FrameStream | undefined;
  #awaitedFrames = 0;
  /** How many streams broke since the last answer. */
  #broken = 0;
  #isPaused = false;
  #isFlushing = false;

  constructor(client: Client, calls: SigningCalls) {
    this.#client = client;
    this.#calls = calls;
  }

  add(call: SigningCall): void {
    call.lane = this.#lanes.add(call);
    this.#flushSoon();
  }

  /** Forgets a call that is settled; the frame that carries it goes on without it. */
  abandon(call: SigningCall): void {
    const { lane, carrier } = call;
    if (lane) this.#lanes.delete(lane);
    if (!carrier) return;
    carrier.awaited -= 1;
    if (carrier.awaited > 0) return;
    this.#awaitedFrames -= 1;
    this.#flushSoon();
  }

  /** Ends the stream, whatever is unanswered. */
  close(): void {
    this.#stream?.cancel();
  }

  #flushSoon(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    process.nextTick(() => {
      this.#isFlushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#hasRoom()) {
      const batch = this.#lanes.take();
      if (!batch) return;
      this.#send(batch);
    }
  }

  #hasRoom(): boolean {
    return !this.#isPaused && this.#awaitedFrames < WINDOW && !this.#frames.isFull;
  }

  #send({ target, calls }: Batch): void {
    const frame: Frame = { target, calls, awaited: calls.length };
    const correlationId = this.#frames.add(frame);
    if (correlationId === undefined) throw new RangeError('a frame without a correlation id');
    for (const call of calls) call.carrier = frame;
    this.#awaitedFrames += 1;
    this.#stream ??= this.#openStream();
    const { operation, key, version } = target;
    this.#stream.send({ correlationId, operation, key, version, items: calls });
  }

  #openStream(): FrameStream {
    const stream: FrameStream = new FrameStream(this.#client, {
      // Correlation ids come again on the next stream: a late answer would be taken for another's.
      onAnswer: (answer) => {
        if (stream === this.#stream) this.#onAnswer(answer);
      },
      onEnd: (failure) => {
        if (stream === this.#stream) this.#onEnd(failure);
      },
    });
    return stream;
  }

  #onAnswer(answer: PipelineResponse__Output): void {
    const frame = this.#frames.take(answer.correlationId ?? 0);
    if (!frame) return;
    this.#broken = 0;
    const { target, calls } = this.#land(frame);
    const results = resultsOf(answer, target, calls.length);
    if (results) {
      this.#answerAll(calls, results);
    } else if (answer.error) {
      this.#retryFrame(calls, failureOfFrame(answer.error));
    } else {
      this.#failAll(calls, new SigildError('INTERNAL', 'the daemon answered something else'));
    }
    this.#flushSoon();
  }

  #answerAll(calls: readonly SigningCall[], results: readonly SigningResult[]): void {
    for (let index = 0; index < calls.length; index += 1) {
      const call = calls[index];
      const result = results[index];
      if (call && result) this.#calls.answer(call, result);
    }
  }

  /** Takes a frame off the window. */
  #land(frame: Frame): Frame {
    if (frame.awaited > 0) this.#awaitedFrames -= 1;
    for (const call of frame.calls) call.carrier = undefined;
    return frame;
  }

  #retryFrame(calls: readonly SigningCall[], failure: Failure): void {
    if (ITEM_REASONS.includes(failure.error.reason) && calls.length > 1) {
      // Halves find the item that is to blame in few frames.
      for (const call of calls) call.maxFrameItems = Math.floor(calls.length / 2);
      this.#sendAgain(calls);
    } else if (failure.isTransient) {
      this.#retryLater(calls, failure.error);
    } else {
      this.#failAll(calls, failure.error);
    }
  }

  #retryLater(calls: readonly SigningCall[], error: SigildError): void {
    const failures = Math.max(...calls.map((call) => call.failures)) + 1;
    const delayMs = backoffMs(failures, error.retryAfterMs);
    const retryAtMs = performance.now() + delayMs;
    for (const call of calls) {
      call.failures = failures;
      call.lastFailure = error;
      if (call.expiresAtMs <= retryAtMs) this.#calls.fail(call, error);
    }
    setTimeout(() => this.#sendAgain(calls), delayMs).unref();
  }

  #sendAgain(calls: readonly SigningCall[]): void {
    for (const call of calls) if (!call.isSettled) this.add(call);
  }

  #failAll(calls: readonly SigningCall[], error: SigildError): void {
    for (const call of calls) this.#calls.fail(call, error);
  }

  /** Opens the stream anew for what was unanswered, when that may help. */
  #onEnd(failure: Failure | undefined): void {
    this.#stream = undefined;
    const calls = this.#frames.takeAll().flatMap((frame) => this.#land(frame).calls);
    if (failure && !failure.isTransient) {
      this.#failAll(calls, failure.error);
      return;
    }
    for (const call of calls) call.lastFailure = failure?.error;
    this.#pause(this.#broken === 0 ? 0 : backoffMs(this.#broken, failure?.error.retryAfterMs));
    this.#broken += 1;
    this.#sendAgain(calls);
  }

  #pause(delayMs: number): void {
    this.#isPaused = true;
    setTimeout(() => {
      this.#isPaused = false;
      this.#flush();
    }, delayMs).unref();
  }
}
