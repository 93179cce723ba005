/**
 * Tells work that its result is of no use any more. Every AbortSignal is one; a request has a lighter
 * one, as Node 20 needs about 8 µs to make an AbortController and to listen to its signal.
 */
export interface Cancellation {
  /** Whose request it is, so that clients get equal shares; absent for what nobody asks for. */
  readonly client?: string | undefined;
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: 'abort', listener: () => void, options: { readonly once: true }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}
