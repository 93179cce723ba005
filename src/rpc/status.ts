import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import type { ErrorReason, SigildError } from '../domain/errors.ts';
import type { Status } from '../generated/google/rpc/Status.ts';
import { encodeErrorDetails, errorStatus, STATUS_DETAILS_KEY } from './error-details.ts';

/** The wire code of each reason. A reason without a code does not compile. */
const CODES = {
  ALGORITHM_DISABLED: status.FAILED_PRECONDITION,
  ALGORITHM_UNSUPPORTED: status.FAILED_PRECONDITION,
  AUDIT_UNAVAILABLE: status.UNAVAILABLE,
  CANCELLED: status.CANCELLED,
  CLIENT_SATURATED: status.RESOURCE_EXHAUSTED,
  DATA_MISSING: status.INVALID_ARGUMENT,
  DATA_RESERVED: status.INVALID_ARGUMENT,
  DATA_TOO_LARGE: status.INVALID_ARGUMENT,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  FIELD_INVALID: status.INVALID_ARGUMENT,
  IMPORT_KEY_NOT_FOUND: status.NOT_FOUND,
  INTERNAL: status.INTERNAL,
  KEY_ALREADY_EXISTS: status.ALREADY_EXISTS,
  KEY_AMBIGUOUS: status.FAILED_PRECONDITION,
  KEY_HAS_NO_PUBLIC_KEY: status.FAILED_PRECONDITION,
  KEY_NOT_FOUND: status.NOT_FOUND,
  KEY_STATE_FORBIDS: status.FAILED_PRECONDITION,
  KEY_VERSION_NOT_FOUND: status.NOT_FOUND,
  PERMISSION_DENIED: status.PERMISSION_DENIED,
  POOL_SATURATED: status.RESOURCE_EXHAUSTED,
  RATE_LIMITED: status.RESOURCE_EXHAUSTED,
  SHUTTING_DOWN: status.UNAVAILABLE,
  SIGNATURE_MISSING: status.INVALID_ARGUMENT,
  TOKEN_FULL: status.RESOURCE_EXHAUSTED,
  TOKEN_REFUSED: status.FAILED_PRECONDITION,
  TOKEN_UNAVAILABLE: status.UNAVAILABLE,
  WRAPPED_KEY_INVALID: status.INVALID_ARGUMENT,
} as const satisfies Record<ErrorReason, status>;

/** What a frame gets for an error: the same as a call, as a message. */
export function toRpcStatus(error: SigildError): Status {
  return errorStatus(CODES[error.reason], error);
}

/**
 * What a caller gets for an error. The error's `cause` stays inside.
 */
export function toStatus(error: SigildError): StatusObject {
  const code = CODES[error.reason];
  const metadata = new Metadata();
  metadata.set(STATUS_DETAILS_KEY, encodeErrorDetails(code, error));
  return { code, details: error.message, metadata };
}
