/** The daemon cannot start as it is configured. */
export class ConfigError extends Error {
  /** One line a problem. */
  readonly messages: readonly string[];

  constructor(messages: readonly string[], options?: ErrorOptions) {
    super(messages.join('\n'), options);
    this.name = 'ConfigError';
    this.messages = messages;
  }
}
