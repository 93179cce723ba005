import type { ErrorReason, FieldViolation, SigildError } from '../domain/errors.ts';
import type { Status } from '../generated/google/rpc/Status.ts';
import { googleRpc } from './proto.ts';

/** The trailer in which gRPC carries a google.rpc.Status. */
export const STATUS_DETAILS_KEY = 'grpc-status-details-bin';

const DOMAIN = 'sigild';
const TYPE_URL = 'type.googleapis.com/google.rpc.';

/** What a caller is told of a SigildError beside its status code and message. */
export interface ErrorDetails {
  /** One of ERROR_REASONS, or a reason that a newer daemon knows. */
  readonly reason: string;
  readonly violations: readonly FieldViolation[];
  /** How long to wait before trying again; undefined when trying again does not help. */
  readonly retryAfterMs: number | undefined;
}

/**
 * How long a caller should wait where the error does not say. A caller that is told to come back
 * always hears when.
 */
const RETRY_AFTER_MS: Partial<Record<ErrorReason, number>> = {
  AUDIT_UNAVAILABLE: 1_000,
  CLIENT_SATURATED: 100,
  POOL_SATURATED: 100,
  SHUTTING_DOWN: 1_000,
  TOKEN_UNAVAILABLE: 1_000,
};

/** @returns the google.rpc.Status with an ErrorInfo and, where they help, BadRequest and RetryInfo */
export function errorStatus(code: number, error: SigildError): Status {
  const { ErrorInfo, BadRequest, RetryInfo } = googleRpc;
  const details = [any('ErrorInfo', ErrorInfo.serialize({ domain: DOMAIN, reason: error.reason }))];
  if (error.violations.length > 0) {
    details.push(
      any('BadRequest', BadRequest.serialize({ fieldViolations: [...error.violations] })),
    );
  }
  const retryAfterMs = error.retryAfterMs ?? RETRY_AFTER_MS[error.reason];
  if (retryAfterMs !== undefined) {
    details.push(any('RetryInfo', RetryInfo.serialize({ retryDelay: duration(retryAfterMs) })));
  }
  return { code, message: error.message, details };
}

/** The bytes of {@link errorStatus}. */
export function encodeErrorDetails(code: number, error: SigildError): Buffer {
  return googleRpc.Status.serialize(errorStatus(code, error));
}

/**
 * Reads what {@link encodeErrorDetails} wrote.
 *
 * @returns undefined when it is no error of sigild's
 */
export function decodeErrorDetails(bytes: Buffer): ErrorDetails | undefined {
  const { ErrorInfo, BadRequest, RetryInfo, Status } = googleRpc;
  const details = new Map(
    Status.deserialize(bytes).details.map((detail) => [detail.type_url, detail.value]),
  );
  const read = <Message>(name: string, deserialize: (bytes: Buffer) => Message) => {
    const value = details.get(TYPE_URL + name);
    return value && deserialize(value);
  };
  const info = read('ErrorInfo', ErrorInfo.deserialize);
  if (info?.domain !== DOMAIN || info.reason === undefined) return undefined;
  const violations = read('BadRequest', BadRequest.deserialize)?.fieldViolations ?? [];
  const delay = read('RetryInfo', RetryInfo.deserialize)?.retryDelay;
  return {
    reason: info.reason,
    violations: violations.map(({ field = '', description = '' }) => ({ field, description })),
    retryAfterMs: delay && (delay.seconds ?? 0) * 1_000 + (delay.nanos ?? 0) / 1e6,
  };
}

function any(name: string, value: Buffer) {
  return { type_url: TYPE_URL + name, value };
}

function duration(ms: number) {
  return { seconds: Math.floor(ms / 1_000), nanos: Math.round((ms % 1_000) * 1e6) };
}
