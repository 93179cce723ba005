/** How the programs of sigild end; the numbers from 64 are those of sysexits.h. */
export const EXIT_CODES = {
  /** Done, or stopped as asked. */
  OK: 0,
  /** A defect, or a failure that no other code names; starting again may help. */
  FAILURE: 1,
  /** The command line is wrong. */
  USAGE: 64,
  /** The token cannot be reached at start; starting again may help. */
  TOKEN_UNAVAILABLE: 69,
  /** The token refuses the PIN. Starting again would use up its tries and lock the token. */
  WRONG_PIN: 77,
  /**
   * The configuration, or a file that it names, is wrong, the daemon was started as root, or another
   * token has taken the place of the one in use: an operator must say which one is meant.
   */
  CONFIGURATION: 78,
} as const;

export type ExitCode = (typeof EXIT_CODES)[keyof typeof EXIT_CODES];

/** Ends the process with a code, after its message has told the operator what to do. */
export class ExitError extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ExitError';
    this.exitCode = exitCode;
  }
}
