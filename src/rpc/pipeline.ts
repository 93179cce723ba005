import type { ServerDuplexStream } from '@grpc/grpc-js';
import { fieldInvalid, SigildError } from '../domain/errors.ts';
import type { PipelineRequest__Output } from '../generated/sigild/v1/PipelineRequest.ts';
import type { PipelineResponse } from '../generated/sigild/v1/PipelineResponse.ts';
import type { RequestContext } from '../service/caller.ts';
import type { SigningService } from '../service/signing-service.ts';
import { traceOf } from './audited-messages.ts';
import { goneOrLate } from './call-lifetime.ts';
import { CancellationSource } from './cancellation-source.ts';
import type { Caller } from './connections.ts';
import { decodeBatchSignRequest, decodeBatchVerifyRequest } from './decode-signing.ts';
import { encodeSignatures, encodeVerifications } from './encode.ts';
import { callerOf, perform, type RpcEnvironment } from './request.ts';
import { costOfFrame } from './request-cost.ts';
import { toRpcStatus, toStatus } from './status.ts';

type PipelineCall = ServerDuplexStream<PipelineRequest__Output, PipelineResponse>;

/** Of one stream; with as many it is not read until some are answered and their answers taken. */
const MAX_UNANSWERED_FRAMES = 64;
const MAX_UNANSWERED_BYTES = 16 * 1024 * 1024;

/** The Pipeline streams of a server; each client may have a limited number open. */
export class Pipelines {
  readonly #service: Pick<SigningService, 'sign' | 'verify'>;
  readonly #environment: RpcEnvironment;
  readonly #open = new Set<PipelineStream>();
  #ending = false;

  constructor(service: Pick<SigningService, 'sign' | 'verify'>, environment: RpcEnvironment) {
    this.#service = service;
    this.#environment = environment;
  }

  serve(call: PipelineCall): void {
    const { admission, connections } = this.#environment;
    const caller = callerOf(call, connections);
    try {
      if (caller) admission.openStream(caller.client);
    } catch (error) {
      void this.#refuse(call, caller, error);
      return;
    }
    const stream = new PipelineStream(call, caller, this.#service, this.#environment);
    this.#open.add(stream);
    const close = () => {
      if (this.#open.delete(stream) && caller) admission.closeStream(caller.client);
    };
    call.once('close', close);
    call.once('cancelled', close);
    if (this.#ending) stream.end();
  }

  /** Ends every stream when the frames that were read from it are answered. */
  end(): void {
    this.#ending = true;
    for (const stream of this.#open) stream.end();
  }

  /** Ends a stream before anything is read from it: for the log, a request that failed. */
  async #refuse(call: PipelineCall, caller: Caller | undefined, reason: unknown): Promise<void> {
    const { signal } = new AbortController();
    const work = () => Promise.reject(reason);
    const messages = () => ({ request: undefined, trace: traceOf(call.metadata) });
    const { failure } = await perform(
      ...([this.#environment, 'Pipeline', caller, signal, work, messages] as const),
    );
    if (failure) call.emit('error', toStatus(failure));
  }
}

/**
 * One stream. Frames are worked on side by side and answered as they are done.
 *
 * A frame counts as unanswered until its answer has been taken by the connection, so that neither a
 * client that writes fast nor one that does not read makes the daemon keep more than the limits, and
 * the 16 frames at most that gRPC reads ahead.
 */
class PipelineStream {
  readonly #call: PipelineCall;
  readonly #service: Pick<SigningService, 'sign' | 'verify'>;
  readonly #environment: RpcEnvironment;
  readonly #caller: Caller | undefined;
  readonly #inFlight = new Set<CancellationSource>();
  #unansweredFrames = 0;
  #unansweredBytes = 0;
  #ending = false;

  constructor(
    call: PipelineCall,
    caller: Caller | undefined,
    service: Pick<SigningService, 'sign' | 'verify'>,
    environment: RpcEnvironment,
  ) {
    this.#call = call;
    this.#caller = caller;
    this.#service = service;
    this.#environment = environment;
    call.on('data', (frame: PipelineRequest__Output) => {
      this.#serve(frame).catch((error: unknown) => {
        environment.observer.onDefect(error, { method: 'Pipeline', requestId: 'unanswered' });
      });
    });
    call.on('end', () => this.end());
    // What breaks a stream cancels it.
    call.on('error', () => undefined);
    call.on('cancelled', () => this.#abandon());
  }

  /** Reads no more, and ends the stream with the last answer. */
  end(): void {
    this.#ending = true;
    this.#call.pause();
    this.#endWhenAnswered();
  }

  async #serve(frame: PipelineRequest__Output): Promise<void> {
    const bytes = bytesOf(frame);
    this.#count(1, bytes);
    const answer = await this.#work(frame);
    this.#call.write(answer, () => this.#count(-1, -bytes));
  }

  async #work(frame: PipelineRequest__Output): Promise<PipelineResponse> {
    const caller = new CancellationSource(this.#caller?.client);
    this.#inFlight.add(caller);
    const { defaultDeadlineMs } = this.#environment;
    const limit = setTimeout(() => caller.abort(overdue(defaultDeadlineMs)), defaultDeadlineMs);
    const { response, failure } = await perform(
      this.#environment,
      'Pipeline',
      this.#caller,
      caller,
      (context) => this.#answer(frame, context),
      () => ({ request: frame.sign ?? frame.verify, trace: traceOf(this.#call.metadata) }),
      costOfFrame(frame),
    );
    clearTimeout(limit);
    this.#inFlight.delete(caller);
    const result = failure ? { error: toRpcStatus(failure) } : response;
    return { correlationId: frame.correlationId ?? 0, ...result };
  }

  async #answer(
    { sign, verify }: PipelineRequest__Output,
    context: RequestContext,
  ): Promise<Pick<PipelineResponse, 'sign' | 'verify'>> {
    if (sign && verify) throw fieldInvalid('operation', 'must be one of sign and verify');
    if (sign) {
      const batch = decodeBatchSignRequest(sign);
      return { sign: encodeSignatures(await this.#service.sign(context, batch)) };
    }
    if (verify) {
      const batch = decodeBatchVerifyRequest(verify);
      return { verify: encodeVerifications(await this.#service.verify(context, batch)) };
    }
    throw fieldInvalid('operation', 'is required: sign or verify');
  }

  #count(frames: number, bytes: number): void {
    this.#unansweredFrames += frames;
    this.#unansweredBytes += bytes;
    const full =
      this.#unansweredFrames >= MAX_UNANSWERED_FRAMES ||
      this.#unansweredBytes >= MAX_UNANSWERED_BYTES;
    if (full || this.#ending) this.#call.pause();
    else if (this.#call.isPaused()) this.#call.resume();
    this.#endWhenAnswered();
  }

  #endWhenAnswered(): void {
    if (this.#ending && this.#unansweredFrames === 0) this.#call.end();
  }

  #abandon(): void {
    this.#ending = true;
    const reason = goneOrLate(Number(this.#call.getDeadline()));
    for (const caller of this.#inFlight) caller.abort(reason);
  }
}

function bytesOf({ sign, verify }: PipelineRequest__Output): number {
  let bytes = 0;
  for (const items of [sign?.data, verify?.data, verify?.signatures]) {
    for (const item of items ?? []) bytes += item.byteLength;
  }
  return bytes;
}

function overdue(limitMs: number): SigildError {
  return new SigildError('DEADLINE_EXCEEDED', `the frame had no answer within ${limitMs} ms`);
}
