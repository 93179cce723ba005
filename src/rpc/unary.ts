import type { handleUnaryCall, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import type { RequestContext } from '../service/caller.ts';
import { type AuditedRequest, traceOf } from './audited-messages.ts';
import type { RpcMethod } from './audited-method.ts';
import { CallLifetime } from './call-lifetime.ts';
import { type Cost, ONE_CALL } from './rate-limits.ts';
import { callerOf, perform, type RpcEnvironment } from './request.ts';
import { toStatus } from './status.ts';

/** Rejects with a SigildError; anything else counts as a defect. */
export type UnaryHandler<Request, Response> = (
  request: Request,
  context: RequestContext,
) => Promise<Response>;

/**
 * Makes a handler for gRPC of one that only decodes, calls and encodes: knows the caller, limits
 * the requests in flight and their rates, turns deadline and cancellation into the context's signal, and answers
 * exactly once whatever the handler does.
 */
export function unary<Request, Response>(
  method: RpcMethod,
  environment: RpcEnvironment,
  handle: UnaryHandler<Request, Response>,
): handleUnaryCall<Request, Response> {
  return meteredUnary(method, environment, () => ONE_CALL, handle);
}

/** As {@link unary}, for requests that ask for more than others. */
export function meteredUnary<Request, Response>(
  method: RpcMethod,
  environment: RpcEnvironment,
  costOf: (request: NoInfer<Request>) => Cost,
  handle: UnaryHandler<Request, Response>,
): handleUnaryCall<Request, Response> {
  const serve = async (
    call: ServerUnaryCall<Request, Response>,
    respond: sendUnaryData<Response>,
  ) => {
    const caller = callerOf(call, environment.connections);
    const lifetime = new CallLifetime(call, environment.defaultDeadlineMs, caller?.client);
    const { response, failure } = await perform(
      environment,
      method,
      caller,
      lifetime.signal,
      (context) => handle(call.request, context),
      () => ({ request: call.request as AuditedRequest, trace: traceOf(call.metadata) }),
      costOf(call.request),
    );
    lifetime.end();
    if (failure) respond(toStatus(failure));
    else respond(null, response);
  };

  return (call, respond) => {
    serve(call, respond).catch((error: unknown) => {
      environment.observer.onDefect(error, { method, requestId: 'unanswered' });
    });
  };
}
