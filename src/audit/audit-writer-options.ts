import type { ChainEnd } from './chain.ts';
import type { LogFile } from './log-file.ts';

export interface AuditWriterOptions {
  readonly file: LogFile;
  /** Where the log goes on. */
  readonly end: ChainEnd;
  /** The number of the file's first line, or of the line that will be. */
  readonly firstSeq: number;
  /** The UUID of this start of the daemon. */
  readonly boot: string;
  /** Whether lines count as written only when the disk keeps them. */
  readonly alwaysSync: boolean;
  /** How long the disk may not have what was written, otherwise. */
  readonly syncIntervalMs: number;
  readonly maxFileBytes: number;
  /** How many files that were put aside stay; undefined: all. */
  readonly maxFiles: number | undefined;
  readonly onTransition: (transition: WriterTransition) => void;
  /** What the line is to say that is written when the log can be written again. */
  readonly resumption: () => string;
  readonly now?: () => number;
}

/** What becomes of the log, each told once. */
export type WriterTransition =
  | { readonly event: 'failed'; readonly error: unknown }
  | { readonly event: 'resumed' }
  /** The file had been removed, and a new one goes on with the chain. */
  | { readonly event: 'removed'; readonly nextSeq: number }
  | { readonly event: 'rotation-failed'; readonly error: unknown };
