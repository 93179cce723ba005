import {
  type ChannelCredentials,
  type ClientDuplexStream,
  credentials,
  type ServiceError,
  type StatusObject,
} from '@grpc/grpc-js';
import type { Status } from '../../src/generated/google/rpc/Status.ts';
import type { BatchSignRequest } from '../../src/generated/sigild/v1/BatchSignRequest.ts';
import type { BatchSignResponse__Output } from '../../src/generated/sigild/v1/BatchSignResponse.ts';
import type { BatchVerifyRequest } from '../../src/generated/sigild/v1/BatchVerifyRequest.ts';
import type { BatchVerifyResponse__Output } from '../../src/generated/sigild/v1/BatchVerifyResponse.ts';
import type { PipelineRequest } from '../../src/generated/sigild/v1/PipelineRequest.ts';
import type { PipelineResponse__Output } from '../../src/generated/sigild/v1/PipelineResponse.ts';
import { decodeErrorDetails } from '../../src/rpc/error-details.ts';
import { googleRpc, v1 } from '../../src/rpc/proto.ts';
import type { ErrorDetails } from './client.ts';

/** The message of the error for a frame whose stream ended without its answer. */
export const STREAM_ENDED = 'the stream has ended';

export type Frame = Omit<PipelineRequest, 'correlationId'>;

/** One Pipeline stream, whose frames are numbered from 1 in the order of {@link send}. */
export interface TestPipeline {
  /** The stream itself, to pause, half-close or cancel it. */
  readonly call: ClientDuplexStream<PipelineRequest, PipelineResponse__Output>;
  /** The numbers of the frames that were answered, in the order of their answers. */
  readonly answered: readonly number[];
  /** The stream's end; never rejects. */
  readonly status: Promise<StatusObject>;
  /** @returns the answer; rejects when the stream ends without one */
  send(frame: Frame): Promise<PipelineResponse__Output>;
}

/** What of the API works on many messages at once. */
export interface BatchClient {
  batchSign(request: BatchSignRequest): Promise<BatchSignResponse__Output>;
  batchVerify(request: BatchVerifyRequest): Promise<BatchVerifyResponse__Output>;
  /** @param deadlineMs from now; without, the stream may stay open for ever */
  pipeline(deadlineMs?: number): TestPipeline;
  close(): void;
}

export function connectBatchClient(
  address: string,
  channel: ChannelCredentials = credentials.createInsecure(),
): BatchClient {
  const signing = new v1.SigningService(address, channel);
  return {
    batchSign: (request) => promise((done) => signing.batchSign(request, done)),
    batchVerify: (request) => promise((done) => signing.batchVerify(request, done)),
    pipeline: (deadlineMs = Number.POSITIVE_INFINITY) =>
      startPipeline(signing.pipeline({ deadline: Date.now() + deadlineMs })),
    close: () => signing.close(),
  };
}

/** The error of a frame, as `failureOf` gives a call's. @throws {Error} when it did not fail */
export function frameFailure({ error }: PipelineResponse__Output): ErrorDetails {
  if (!error) throw new Error('the frame did not fail');
  const details = decodeErrorDetails(googleRpc.Status.serialize(error as Status));
  return {
    code: error.code ?? 0,
    message: error.message ?? '',
    reason: details?.reason,
    fields: details?.violations.map(({ field }) => field) ?? [],
    retryDelayMs: details?.retryAfterMs,
  };
}

interface Unanswered {
  readonly resolve: (answer: PipelineResponse__Output) => void;
  readonly reject: (error: Error) => void;
}

function startPipeline(call: TestPipeline['call']): TestPipeline {
  const unanswered = new Map<number, Unanswered>();
  const answered: number[] = [];
  let sent = 0;
  let hasEnded = false;
  call.on('data', (answer: PipelineResponse__Output) => {
    const number = answer.correlationId ?? 0;
    answered.push(number);
    unanswered.get(number)?.resolve(answer);
    unanswered.delete(number);
  });
  // The status tells of it.
  call.on('error', () => undefined);
  const status = new Promise<StatusObject>((resolve) => {
    call.on('status', (end: StatusObject) => {
      hasEnded = true;
      for (const { reject } of unanswered.values()) reject(new Error(STREAM_ENDED));
      resolve(end);
    });
  });
  return {
    ...{ call, answered, status },
    send: (frame) => {
      if (hasEnded) return Promise.reject(new Error(STREAM_ENDED));
      sent += 1;
      const correlationId = sent;
      const answer = new Promise<PipelineResponse__Output>((resolve, reject) => {
        unanswered.set(correlationId, { resolve, reject });
      });
      // Those who wait for the answer are told; nobody has to.
      answer.catch(() => undefined);
      call.write({ correlationId, ...frame });
      return answer;
    },
  };
}

function promise<Response>(
  call: (done: (error: ServiceError | null, response?: Response) => void) => void,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    call((error, response) => (error ? reject(error) : resolve(response as Response)));
  });
}
