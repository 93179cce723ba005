/**
 * What an operation does, which decides whether it goes on without an audit log:
 * - `change`: it changes what the token holds; never
 * - `use`: it uses a key; as the configuration says
 * - `read`: it only tells; always
 */
export type AuditEffect = 'change' | 'use' | 'read';

/** Which operation, on what, for whom; what is not known or does not apply is undefined. */
export interface AuditedOperation {
  /** The same in the lines of one request. */
  readonly request: string;
  /** The 32 hexadecimal digits of a W3C trace. */
  readonly trace?: string | undefined;
  readonly client?: string | undefined;
  readonly peer?: string | undefined;
  /** The name of the method. */
  readonly operation: string;
  readonly key?: string | undefined;
  readonly version?: number | undefined;
  /** It was only tried, and changed nothing; else undefined. */
  readonly dryRun?: true | undefined;
}

/** An operation that is over. */
export interface AuditedEnd extends AuditedOperation {
  /** `OK` or the reason of an error. */
  readonly outcome: string;
  /** Of a verification: whether every signature was right. */
  readonly valid?: boolean | undefined;
  /** Of a batch: how many messages it has, */
  readonly items?: number | undefined;
  /** and how many of them were not signed, or did not verify. */
  readonly failed?: number | undefined;
  readonly latencyUs?: number | undefined;
  /** What was signed or verified, for a keyed digest of it; never written itself. */
  readonly data?: readonly Uint8Array[] | undefined;
}
