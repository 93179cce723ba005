import { randomBytes } from 'node:crypto';
import type { Cancellation } from '../domain/cancellation.ts';
import { type ErrorReason, SigildError } from '../domain/errors.ts';
import type { RequestContext } from '../service/caller.ts';
import type { AuditLog } from '../service/ports.ts';
import type { Admission } from './admission.ts';
import type { AuditedMessages } from './audited-messages.ts';
import type { RpcMethod } from './audited-method.ts';
import { RequestAudit } from './audited-request.ts';
import type { Caller, Connections } from './connections.ts';
import { type Cost, ONE_CALL } from './rate-limits.ts';

/** What the log may say of a request that was answered. */
export interface RequestRecord {
  readonly requestId: string;
  readonly method: string;
  /** Undefined when the connection had closed before the request was looked at. */
  readonly client: string | undefined;
  readonly peer: string | undefined;
  readonly outcome: ErrorReason | 'OK';
  /** From the request's last byte, of a stream from its first one, to its answer. */
  readonly durationMs: number;
}

export interface RequestObserver {
  /** Told of every request; undefined while nobody wants to know, which saves the work. */
  readonly onRequest: ((record: RequestRecord) => void) | undefined;
  /** Told of an error that is a defect of the daemon; the caller learns the request's id alone. */
  readonly onDefect: (error: unknown, request: { method: string; requestId: string }) => void;
}

/** What all methods of a server share. */
export interface RpcEnvironment {
  readonly connections: Pick<Connections, 'callerOf'>;
  readonly admission: Pick<
    Admission,
    | 'enter'
    | 'leave'
    | 'openStream'
    | 'closeStream'
    | 'enterSigningStream'
    | 'leaveSigningStream'
    | 'paceMs'
  >;
  /** The time for a request whose client sets no deadline. */
  readonly defaultDeadlineMs: number;
  readonly observer: RequestObserver;
  /** Undefined: none is kept. */
  readonly audit?: AuditLog | undefined;
}

/** What working on a request takes. */
interface PerformEnvironment {
  readonly admission: Pick<Admission, 'enter' | 'leave'>;
  readonly audit?: AuditLog | undefined;
  readonly observer: RequestObserver;
}

/** Rejects with a SigildError; anything else counts as a defect. */
export type Work<Response> = (context: RequestContext) => Promise<Response>;

export type Outcome<Response> =
  | { readonly response: Response; readonly failure: undefined }
  | { readonly response: undefined; readonly failure: SigildError };

/**
 * Works on one request: limits the requests in flight and their rates, tells defects from errors, and
 * tells the audit log and the observer. Never rejects.
 *
 * @param caller undefined when the connection has closed: its request costs no work
 * @param messages for the audit log, asked when they have been read
 */
export async function perform<Response>(
  { admission, observer, audit: log }: PerformEnvironment,
  method: RpcMethod,
  caller: Caller | undefined,
  signal: Cancellation,
  work: Work<Response>,
  messages: () => AuditedMessages,
  cost: Cost = ONE_CALL,
): Promise<Outcome<Response>> {
  const startedAtMs = performance.now();
  const requestNumber = nextRequestNumber++;
  const audit = log && new RequestAudit(log, method, caller, messages);
  let outcome: Outcome<Response>;
  try {
    const audited = audit ? audit.begun(requestId(requestNumber), work) : work;
    const response = await admitted(admission, caller, signal, audited, cost);
    outcome = { response, failure: undefined };
  } catch (error) {
    const failure = asSigildError(error, method, requestNumber, observer);
    outcome = { response: undefined, failure };
  }
  if (audit) {
    const takenMs = performance.now() - startedAtMs;
    outcome = await audit.ended(requestId(requestNumber), outcome, takenMs);
  }
  observer.onRequest?.({
    requestId: requestId(requestNumber),
    method,
    client: caller?.client,
    peer: caller?.peer,
    outcome: outcome.failure?.reason ?? 'OK',
    durationMs: performance.now() - startedAtMs,
  });
  return outcome;
}

async function admitted<Response>(
  admission: PerformEnvironment['admission'],
  caller: Caller | undefined,
  signal: Cancellation,
  work: Work<Response>,
  cost: Cost,
): Promise<Response> {
  if (!caller) throw new SigildError('CANCELLED', 'the caller has gone');
  admission.enter(caller.client, cost);
  try {
    return await work({ client: caller.client, signal });
  } finally {
    admission.leave(caller.client);
  }
}

/** @returns undefined when the caller has gone */
export function callerOf(
  call: { readonly cancelled: boolean; getPeer(): string },
  connections: RpcEnvironment['connections'],
): Caller | undefined {
  if (call.cancelled) return undefined;
  try {
    return connections.callerOf(call.getPeer());
  } catch {
    // Node throws when it is asked about the socket of a session that has ended.
    return undefined;
  }
}

/** Request ids are unique among the daemons that write to one log. */
const REQUEST_ID_PREFIX = randomBytes(4).toString('hex');
let nextRequestNumber = 1;

function requestId(requestNumber: number): string {
  return `${REQUEST_ID_PREFIX}-${requestNumber}`;
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
