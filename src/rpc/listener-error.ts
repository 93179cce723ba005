/** A listener cannot be opened. The message names its address and says what was found. */
export class ListenerError extends Error {
  /**
   * - `configuration`: an operator must act
   * - `in-use`: something else listens there; trying again later may help
   */
  readonly kind: 'configuration' | 'in-use';

  constructor(kind: ListenerError['kind'], message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'ListenerError';
    this.kind = kind;
  }
}
