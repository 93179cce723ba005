import { setTimeout as pause } from 'node:timers/promises';
import { type Client, type ClientUnaryCall, Metadata, type ServiceError } from '@grpc/grpc-js';
import { backoffMs } from './backoff.ts';
import type { Limits } from './call-options.ts';
import type { OpenCalls } from './open-calls.ts';
import { type Failure, failureOfCall, type SigildError } from './sigild-error.ts';

/** What the generated definition of an rpc says. */
export interface UnaryMethod<Request, Response> {
  readonly path: string;
  requestSerialize(request: Request): Buffer;
  responseDeserialize(bytes: Buffer): Response;
}

interface UnaryCallsOptions {
  readonly open: OpenCalls;
  /** Makes the error for a call whose time is over. */
  readonly overdue: (limits: Limits) => SigildError;
}

type Outcome<Response> = { readonly response: Response } | { readonly failure: Failure };

/** Makes calls that are safe to repeat, and repeats them within their deadline. */
export class UnaryCalls {
  readonly #client: Client;
  readonly #open: OpenCalls;
  readonly #overdue: UnaryCallsOptions['overdue'];

  constructor(client: Client, { open, overdue }: UnaryCallsOptions) {
    this.#client = client;
    this.#open = open;
    this.#overdue = overdue;
  }

  /** @throws {SigildError} as the rpc says; `signal.reason` when it aborts */
  async call<Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
    limits: Limits,
  ): Promise<Response> {
    this.#open.enter();
    try {
      return await this.#repeat(method, request, limits);
    } finally {
      this.#open.leave();
    }
  }

  async #repeat<Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
    limits: Limits,
  ): Promise<Response> {
    const { deadlineMs, signal } = limits;
    const expiresAtMs = performance.now() + deadlineMs;
    for (let failures = 1; ; failures += 1) {
      const remainingMs = expiresAtMs - performance.now();
      const outcome = await this.#attempt(method, request, remainingMs, signal);
      if ('response' in outcome) return outcome.response;
      signal?.throwIfAborted();
      const { error, isTransient } = outcome.failure;
      if (error.reason === 'DEADLINE_EXCEEDED') throw this.#overdue(limits);
      const delayMs = backoffMs(failures, error.retryAfterMs);
      if (!isTransient || performance.now() + delayMs >= expiresAtMs) throw error;
      await pause(delayMs, undefined, signal && { signal }).catch(() => signal?.throwIfAborted());
    }
  }

  #attempt<Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
    remainingMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Outcome<Response>> {
    return new Promise((resolve) => {
      const answered = (error: ServiceError | null, response?: Response) => {
        signal?.removeEventListener('abort', cancel);
        if (error) resolve({ failure: failureOfCall(error) });
        else resolve({ response: response as Response });
      };
      const call: ClientUnaryCall = this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        new Metadata({ waitForReady: true }),
        { deadline: Date.now() + remainingMs },
        answered,
      );
      const cancel = () => call.cancel();
      signal?.addEventListener('abort', cancel, { once: true });
    });
  }
}
