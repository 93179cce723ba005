import { type ServiceError, status } from '@grpc/grpc-js';
import type { ErrorReason, FieldViolation } from '../domain/errors.ts';
import type { Status, Status__Output } from '../generated/google/rpc/Status.ts';
import { decodeErrorDetails, type ErrorDetails, STATUS_DETAILS_KEY } from '../rpc/error-details.ts';
import { googleRpc } from '../rpc/proto.ts';

/**
 * One of the daemon's reasons, or another text: the reason of a newer daemon, or the name of a gRPC
 * status (such as `UNIMPLEMENTED`) that something other than sigild answered with.
 */
// With "string" alone, editors would not offer the known reasons.
export type Reason = ErrorReason | (string & Record<never, never>);

export interface SigildErrorOptions {
  readonly cause?: unknown;
  readonly retryAfterMs?: number | undefined;
  readonly violations?: readonly FieldViolation[];
}

/** Why a call failed. Its `reason` is stable and made to branch on; its message is for people. */
export class SigildError extends Error {
  readonly reason: Reason;
  /** How long to wait before trying again; undefined when trying again does not help. */
  readonly retryAfterMs: number | undefined;
  /** The request's fields that were wrong, and why. */
  readonly violations: readonly FieldViolation[];

  constructor(reason: Reason, message: string, options: SigildErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.name = 'SigildError';
    this.reason = reason;
    this.retryAfterMs = options.retryAfterMs;
    this.violations = options.violations ?? [];
  }
}

/** What a call or a stream that failed had to say. */
export type CallFailure = Pick<ServiceError, 'code' | 'details' | 'metadata'>;

/** A failure, and whether it is worth another try when the request is safe to repeat. */
export interface Failure {
  readonly error: SigildError;
  readonly isTransient: boolean;
}

/** The failure of a call or of a whole stream. */
export function failureOfCall(failure: CallFailure): Failure {
  const [bytes] = failure.metadata.get(STATUS_DETAILS_KEY);
  const details = Buffer.isBuffer(bytes) ? readDetails(bytes) : undefined;
  return failureOf(failure.code, failure.details, details);
}

/** The failure of a frame. */
export function failureOfFrame(answer: Status__Output): Failure {
  const details = readDetails(googleRpc.Status.serialize(answer as Status));
  return failureOf(answer.code ?? status.UNKNOWN, answer.message ?? '', details);
}

function failureOf(code: number, message: string, details: ErrorDetails | undefined): Failure {
  const reason = details?.reason ?? status[code] ?? 'UNKNOWN';
  return {
    error: new SigildError(reason, message, details),
    isTransient: code === status.UNAVAILABLE || isBroken(code, details),
  };
}

/**
 * Whether a call broke on its way: a proxy whose daemon dies resets the streams to it, which gRPC
 * libraries take for INTERNAL. What the daemon itself fails with has details.
 */
function isBroken(code: number, details: ErrorDetails | undefined): boolean {
  return code === status.INTERNAL && details === undefined;
}

/** @returns undefined for what another program than sigild answers */
function readDetails(bytes: Buffer): ErrorDetails | undefined {
  try {
    return decodeErrorDetails(bytes);
  } catch {
    return undefined;
  }
}
