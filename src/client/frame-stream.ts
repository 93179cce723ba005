import { type Client, type ClientDuplexStream, Metadata, status } from '@grpc/grpc-js';
import type { PipelineResponse__Output } from '../generated/sigild/v1/PipelineResponse.ts';
import { v1 } from '../rpc/proto.ts';
import { decodeAnswer, encodeFrame, type FrameRequest } from './frame-codec.ts';
import { type CallFailure, type Failure, failureOfCall } from './sigild-error.ts';

export interface FrameStreamEvents {
  readonly onAnswer: (answer: PipelineResponse__Output) => void;
  /** @param failure undefined when the daemon ended the stream in peace, as it does when it drains */
  readonly onEnd: (failure: Failure | undefined) => void;
}

/** One Pipeline stream. It waits for a connection where there is none yet. */
export class FrameStream {
  readonly #call: ClientDuplexStream<FrameRequest, PipelineResponse__Output>;

  constructor(client: Client, { onAnswer, onEnd }: FrameStreamEvents) {
    this.#call = client.makeBidiStreamRequest(
      v1.SigningService.service.Pipeline.path,
      encodeFrame,
      decodeAnswer,
      new Metadata({ waitForReady: true }),
    );
    this.#call.on('data', onAnswer);
    // The status tells the same.
    this.#call.on('error', () => undefined);
    this.#call.once('status', (end: CallFailure) => {
      onEnd(end.code === status.OK ? undefined : failureOfCall(end));
    });
  }

  send(frame: FrameRequest): void {
    this.#call.write(frame);
  }

  /** Ends it, whatever is unanswered. */
  cancel(): void {
    this.#call.cancel();
  }
}
