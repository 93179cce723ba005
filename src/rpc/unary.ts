import { randomBytes } from 'node:crypto';
import type { handleUnaryCall, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { type ErrorReason, SigildError } from '../domain/errors.ts';
import type { RequestContext } from '../service/caller.ts';
import type { Admission } from './admission.ts';
import { CallLifetime } from './call-lifetime.ts';
import type { Caller, Connections } from './connections.ts';
import { toStatus } from './status.ts';

/** What the log may say of a request that was answered. */
export interface RequestRecord {
  readonly requestId: string;
  readonly method: string;
  /** Undefined when the connection had closed before the request was looked at. */
  readonly client: string | undefined;
  readonly peer: string | undefined;
  readonly outcome: ErrorReason | 'OK';
  /** From the request's last byte to its answer. */
  readonly durationMs: number;
}

export interface RequestObserver {
  /** Told of every request; undefined while nobody wants to know, which saves the work. */
  readonly onRequest: ((record: RequestRecord) => void) | undefined;
  /** Told of an error that is a defect of the daemon; the caller learns the request's id alone. */
  readonly onDefect: (error: unknown, request: { method: string; requestId: string }) => void;
}

/** What all unary methods of a server share. */
export interface UnaryEnvironment {
  readonly connections: Pick<Connections, 'callerOf'>;
  readonly admission: Pick<Admission, 'enter' | 'leave'>;
  /** The time for a request whose client sets no deadline. */
  readonly defaultDeadlineMs: number;
  readonly observer: RequestObserver;
}

/** Rejects with a SigildError; anything else counts as a defect. */
export type UnaryHandler<Request, Response> = (
  request: Request,
  context: RequestContext,
) => Promise<Response>;

/**
 * Makes a handler for gRPC of one that only decodes, calls and encodes: knows the caller, limits
 * the requests in flight, turns deadline and cancellation into the context's signal, and answers
 * exactly once whatever the handler does.
 */
export function unary<Request, Response>(
  method: string,
  environment: UnaryEnvironment,
  handle: UnaryHandler<Request, Response>,
): handleUnaryCall<Request, Response> {
  const { connections, admission, defaultDeadlineMs, observer } = environment;

  const work = async (request: Request, caller: Caller | undefined, signal: AbortSignal) => {
    if (!caller) throw new SigildError('CANCELLED', 'the caller has gone');
    admission.enter(caller.client);
    try {
      return await handle(request, { client: caller.client, signal });
    } finally {
      admission.leave(caller.client);
    }
  };

  const serve = async (
    call: ServerUnaryCall<Request, Response>,
    respond: sendUnaryData<Response>,
    requestNumber: number,
  ) => {
    const startedAtMs = performance.now();
    const caller = callerOf(call, connections);
    const lifetime = new CallLifetime(call, defaultDeadlineMs);
    let outcome: RequestRecord['outcome'] = 'OK';
    try {
      respond(null, await work(call.request, caller, lifetime.signal));
    } catch (error) {
      const failure = asSigildError(error, method, requestNumber, observer);
      outcome = failure.reason;
      respond(toStatus(failure));
    } finally {
      lifetime.end();
    }
    observer.onRequest?.({
      requestId: requestId(requestNumber),
      method,
      client: caller?.client,
      peer: caller?.peer,
      outcome,
      durationMs: performance.now() - startedAtMs,
    });
  };

  return (call, respond) => {
    const requestNumber = nextRequestNumber++;
    serve(call, respond, requestNumber).catch((error: unknown) => {
      observer.onDefect(error, { method, requestId: requestId(requestNumber) });
    });
  };
}

/** Request ids are unique among the daemons that write to one log. */
const REQUEST_ID_PREFIX = randomBytes(4).toString('hex');
let nextRequestNumber = 1;

function requestId(requestNumber: number): string {
  return `${REQUEST_ID_PREFIX}-${requestNumber}`;
}

/** @returns undefined when the caller has gone, who shall cost no work */
function callerOf(
  call: ServerUnaryCall<unknown, unknown>,
  connections: UnaryEnvironment['connections'],
): Caller | undefined {
  if (call.cancelled) return undefined;
  try {
    return connections.callerOf(call.getPeer());
  } catch {
    // Node throws when it is asked about the socket of a session that has ended.
    return undefined;
  }
}

function asSigildError(
  error: unknown,
  method: string,
  requestNumber: number,
  observer: RequestObserver,
): SigildError {
  if (error instanceof SigildError && error.reason !== 'INTERNAL') return error;
  const id = requestId(requestNumber);
  observer.onDefect(error, { method, requestId: id });
  return new SigildError('INTERNAL', `a defect of the daemon; its log tells of request ${id}`);
}
