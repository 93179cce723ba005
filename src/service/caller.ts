import type { Cancellation } from '../domain/cancellation.ts';

/** Who asks, and until when an answer is of use. */
export interface RequestContext {
  /** The client's identity: what its listener or its certificate says, never what it says itself. */
  readonly client: string;
  /** Aborts with a SigildError when the caller has gone or its deadline has passed. */
  readonly signal: Cancellation;
}
