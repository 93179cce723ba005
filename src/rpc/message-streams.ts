import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import {
  type handleClientStreamingCall,
  Metadata,
  type ServerReadableStream,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { SigildError } from '../domain/errors.ts';
import type { RequestContext } from '../service/caller.ts';
import { untilAborted } from '../service/deadline.ts';
import { type AuditedRequest, traceOf } from './audited-messages.ts';
import type { RpcMethod } from './audited-method.ts';
import { goneOrLate } from './call-lifetime.ts';
import { CancellationSource } from './cancellation-source.ts';
import { callerOf, perform, type RpcEnvironment } from './request.ts';
import { toStatus } from './status.ts';

/** How long the streams of a server may take. */
export interface MessageStreamLimits {
  /** For a client to send its next message when the daemon is ready for it. */
  readonly signingStreamIdleMs: number;
  /** In all, whatever deadline the client sets. */
  readonly signingStreamLimitMs: number;
}

/** A message of a stream, as far as it matters here. */
interface Message {
  readonly data?: Uint8Array | undefined;
}

/** Rejects with a SigildError; anything else counts as a defect. */
export type MessageStreamHandler<Request, Response> = (
  messages: AsyncIterator<Request>,
  context: RequestContext,
) => Promise<Response>;

/**
 * The calls of a server whose client streams, and which have one answer.
 *
 * A stream is read no faster than it is worked on: beside the messages that gRPC reads ahead, which
 * are 16 at most, none is kept. What ends it early ends the wait for its next message too.
 */
export class MessageStreams {
  readonly #environment: RpcEnvironment;
  readonly #limits: MessageStreamLimits;
  readonly #open = new Set<CancellationSource>();

  constructor(environment: RpcEnvironment, limits: MessageStreamLimits) {
    this.#environment = environment;
    this.#limits = limits;
  }

  /** Makes a handler for gRPC of one that only decodes, calls and encodes. */
  handler<Request extends Message, Response>(
    method: RpcMethod,
    handle: MessageStreamHandler<Request, Response>,
  ): handleClientStreamingCall<Request, Response> {
    return (call, respond) => {
      this.#serve(method, handle, call, respond).catch((error: unknown) => {
        this.#environment.observer.onDefect(error, { method, requestId: 'unanswered' });
      });
    };
  }

  /** Ends every stream that is open, with SHUTTING_DOWN. @returns whether one was */
  shutDown(): boolean {
    const streams = [...this.#open];
    for (const stream of streams) {
      stream.abort(new SigildError('SHUTTING_DOWN', 'sigild is stopping; use another instance'));
    }
    return streams.length > 0;
  }

  async #serve<Request extends Message, Response>(
    method: RpcMethod,
    handle: MessageStreamHandler<Request, Response>,
    call: ServerReadableStream<Request, Response>,
    respond: sendUnaryData<Response>,
  ): Promise<void> {
    const { admission, connections, observer, audit } = this.#environment;
    const { signingStreamLimitMs } = this.#limits;
    const caller = callerOf(call, connections);
    const source = new CancellationSource(caller?.client);
    const limit = setTimeout(
      () => source.abort(tooLong(signingStreamLimitMs)),
      signingStreamLimitMs,
    );
    call.once('cancelled', () => source.abort(goneOrLate(Number(call.getDeadline()))));
    // What breaks a stream cancels it.
    call.on('error', () => undefined);
    this.#open.add(source);
    const gate = {
      enter: (client: string) => admission.enterSigningStream(client),
      leave: (client: string) => admission.leaveSigningStream(client),
    };
    let header: AuditedRequest | undefined;
    const noting = (messages: AsyncIterator<Request>): AsyncIterator<Request> => ({
      next: async () => {
        const next = await messages.next();
        header ??= headerOf(next.value);
        return next;
      },
    });
    const { response, failure } = await perform(
      { admission: gate, observer, audit },
      method,
      caller,
      source,
      (context) => handle(noting(this.#messagesOf(call, source)), context),
      () => ({ request: header, trace: traceOf(call.metadata) }),
    );
    clearTimeout(limit);
    this.#open.delete(source);
    if (failure) respond(toStatus(failure));
    else respond(null, response);
    dropRest(call);
  }

  #messagesOf<Request extends Message>(
    call: ServerReadableStream<Request, unknown>,
    source: CancellationSource,
  ): AsyncIterator<Request> {
    const messages: AsyncIterator<Request> = call.iterator({ destroyOnReturn: false });
    const { signingStreamIdleMs: idleMs } = this.#limits;
    return {
      next: async () => {
        const timer = setTimeout(() => source.abort(idle(idleMs)), idleMs);
        let next: IteratorResult<Request>;
        try {
          next = await untilAborted(messages.next(), source);
          if (next.done) await assertWhole(call, source);
        } finally {
          clearTimeout(timer);
        }
        if (!next.done) await this.#pace(next.value.data?.byteLength ?? 0, source);
        return next;
      },
    };
  }

  /** A stream that is faster than its client's rate is read more slowly, and not refused. */
  async #pace(bytes: number, source: CancellationSource): Promise<void> {
    const waitMs = this.#environment.admission.paceMs(source.client ?? '', bytes);
    if (waitMs === 0) return;
    const longestMs = Math.min(waitMs, this.#limits.signingStreamLimitMs);
    await untilAborted(pause(longestMs, undefined, { ref: false }), source);
  }
}

/**
 * A stream that was reset may end, for grpc-js 1.14, as one that is whole, and be cancelled a moment
 * later; it looks whether it was when something is sent. Half a message must not be signed, so the
 * headers of the answer go out before there is one.
 */
async function assertWhole(
  call: ServerReadableStream<unknown, unknown>,
  source: CancellationSource,
): Promise<void> {
  call.sendMetadata(new Metadata());
  await nextTurn();
  source.throwIfAborted();
}

/** Of the message of a stream that has one. */
function headerOf(message: { readonly header?: AuditedRequest | undefined } | undefined) {
  return message?.header;
}

/** Lets go of what the client sends after its answer, some of which has been read already. */
function dropRest(call: ServerReadableStream<unknown, unknown>): void {
  call.removeAllListeners('readable');
  call.on('data', () => undefined);
}

function idle(limitMs: number): SigildError {
  return new SigildError(
    'DEADLINE_EXCEEDED',
    `the stream sent nothing for ${limitMs} ms (signingStreamIdleMs in the configuration)`,
  );
}

function tooLong(limitMs: number): SigildError {
  return new SigildError(
    'DEADLINE_EXCEEDED',
    `the stream took longer than ${limitMs} ms (signingStreamLimitMs in the configuration)`,
  );
}
