import type { FieldViolation } from '../domain/errors.ts';

/** The reasons that sigilctl itself has; the daemon's own come as it sends them. */
type OwnReason =
  | 'CANCELLED'
  | 'CONFIGURATION'
  | 'DAEMON_UNREACHABLE'
  | 'DATA_TOO_LARGE'
  | 'INTERNAL'
  | 'NO_FREE_SLOT'
  | 'TOKEN_EXISTS'
  | 'TOKEN_REFUSED'
  | 'TOKEN_UNAVAILABLE'
  | 'USAGE'
  | 'WRONG_PIN';

interface CommandFailureOptions {
  /** What the user can do about it. */
  readonly nextStep?: string | undefined;
  readonly violations?: readonly FieldViolation[];
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** Ends a command with a message for its user, which holds no secret. */
export class CommandFailure extends Error {
  readonly reason: string;
  readonly nextStep: string | undefined;
  readonly violations: readonly FieldViolation[];
  readonly retryAfterMs: number | undefined;

  constructor(
    reason: OwnReason | (string & {}),
    message: string,
    options: CommandFailureOptions = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.name = 'CommandFailure';
    this.reason = reason;
    this.nextStep = options.nextStep;
    this.violations = options.violations ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** A failure of the command line or of the input that it names. */
export function usageFailure(message: string, nextStep?: string): CommandFailure {
  return new CommandFailure('USAGE', message, { nextStep });
}

/** What the message of another error may quote of it. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
