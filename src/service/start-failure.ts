/**
 * Why a token host cannot start:
 * - `configuration`: trying again is of no use; an operator must act
 * - `unavailable`: the token cannot be reached now; trying again later may help
 * - `wrong-pin`: the token refused the PIN; trying again may lock the token
 * - `wrong-token`: another token has taken the configured one's place
 */
export const START_FAILURE_KINDS = [
  'configuration',
  'unavailable',
  'wrong-pin',
  'wrong-token',
] as const;

export type StartFailureKind = (typeof START_FAILURE_KINDS)[number];

/** Its message says what was looked for, what was found and what to do; it holds no secret. */
export class StartFailure extends Error {
  readonly kind: StartFailureKind;

  constructor(kind: StartFailureKind, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'StartFailure';
    this.kind = kind;
  }
}
