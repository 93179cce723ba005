/** A token that tests have made, as a daemon's configuration needs it. */
export interface TestToken {
  /** For sockets and other files of the test. */
  readonly directory: string;
  readonly module: string;
  readonly label: string;
  /** A 0600 file with the PIN. */
  readonly pinFile: string;
  /** The environment of a process that shall see this token. */
  readonly environment: NodeJS.ProcessEnv;
}
