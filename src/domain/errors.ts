/**
 * Every reason for which sigild refuses or fails, as its clients see it. Reasons are stable: clients
 * branch on them. Each has its gRPC status code in rpc/status.ts and its row in the README.
 */
export const ERROR_REASONS = [
  'ALGORITHM_DISABLED',
  'ALGORITHM_UNSUPPORTED',
  'AUDIT_UNAVAILABLE',
  'CANCELLED',
  'CLIENT_SATURATED',
  'DATA_MISSING',
  'DATA_RESERVED',
  'DATA_TOO_LARGE',
  'DEADLINE_EXCEEDED',
  'FIELD_INVALID',
  'IMPORT_KEY_NOT_FOUND',
  'INTERNAL',
  'KEY_ALREADY_EXISTS',
  'KEY_AMBIGUOUS',
  'KEY_HAS_NO_PUBLIC_KEY',
  'KEY_NOT_FOUND',
  'KEY_STATE_FORBIDS',
  'KEY_VERSION_NOT_FOUND',
  'PERMISSION_DENIED',
  'POOL_SATURATED',
  'RATE_LIMITED',
  'SHUTTING_DOWN',
  'SIGNATURE_MISSING',
  'TOKEN_FULL',
  'TOKEN_REFUSED',
  'TOKEN_UNAVAILABLE',
  'WRAPPED_KEY_INVALID',
] as const;

export type ErrorReason = (typeof ERROR_REASONS)[number];

/** A request field and what is wrong with it, in words for the caller. */
export interface FieldViolation {
  /** The field's name in the API, for instance `key`. */
  readonly field: string;
  readonly description: string;
}

export interface SigildErrorOptions {
  /** For the log alone; never sent to a caller. */
  readonly cause?: unknown;
  /** How long a caller should wait before it tries again. */
  readonly retryAfterMs?: number;
  readonly violations?: readonly FieldViolation[];
}

/**
 * The one error that crosses layers. Its message is safe to show to the caller and says what to do
 * next; what must stay inside is in `cause`.
 */
export class SigildError extends Error {
  readonly reason: ErrorReason;
  readonly retryAfterMs: number | undefined;
  readonly violations: readonly FieldViolation[];

  constructor(reason: ErrorReason, message: string, options: SigildErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.name = 'SigildError';
    this.reason = reason;
    this.retryAfterMs = options.retryAfterMs;
    this.violations = options.violations ?? [];
  }
}

/** A FIELD_INVALID that names one field. */
export function fieldInvalid(field: string, description: string): SigildError {
  return new SigildError('FIELD_INVALID', `${field}: ${description}`, {
    violations: [{ field, description }],
  });
}
