import { createHmac, randomUUID } from 'node:crypto';
import type { AuditEffect, AuditedEnd, AuditedOperation } from '../domain/audit-event.ts';
import type { AuditHead } from '../domain/audit-seal.ts';
import { SigildError } from '../domain/errors.ts';
import { withLimit } from '../service/deadline.ts';
import type { AuditLog, AuditToken } from '../service/ports.ts';
import { StartFailure } from '../service/start-failure.ts';
import { AuditWriter } from './audit-writer.ts';
import type { WriterTransition } from './audit-writer-options.ts';
import { beginText, endText } from './event-text.ts';
import { type OpenLog, openLog } from './open-log.ts';
import { Seals, type SealTransition } from './seals.ts';

export interface AuditLogOptions {
  /** Absolute path of the file. */
  readonly file: string;
  readonly fsync: 'always' | 'interval';
  readonly fsyncIntervalMs: number;
  readonly sealIntervalMs: number;
  readonly maxFileBytes: number;
  /** How many files that were put aside stay; undefined: all. */
  readonly maxFiles: number | undefined;
  /** Whether keys may be used while the log cannot be written. */
  readonly signing: 'required' | 'besteffort';
  readonly dataDigest: boolean;
  /** Of sigild. */
  readonly version: string;
  readonly onTransition: (transition: AuditTransition) => void;
}

export type AuditTransition =
  | Exclude<WriterTransition, { readonly event: 'resumed' }>
  | SealTransition
  /** @see AuditLogOptions.signing */
  | { readonly event: 'resumed'; readonly lostLines: number }
  /** A crash has left a line that is not whole. */
  | { readonly event: 'torn'; readonly seq: number };

/** Of all that a start asks the token for, but for the first seal. */
const TOKEN_LIMIT_MS = 10_000;

/** What the audit key signs beside seals: it makes the key of data digests. */
const DIGEST_TEXT_START = 'sigild audit data digest v1\n';

/** What the daemon does by itself has no peer. */
const ITSELF = 'sigild';

/** The audit log in a file: see audit-line.ts for its lines. */
export class FileAuditLog implements AuditLog {
  readonly #options: AuditLogOptions;
  readonly #log: OpenLog;
  readonly #writer: AuditWriter;
  #seals: Seals | undefined;
  #digestKey: Uint8Array | undefined;
  #lostLines = 0;
  /** Those that the line tells of that was written last when the log could be written again. */
  #toldLines = 0;

  private constructor(options: AuditLogOptions, log: OpenLog) {
    this.#options = options;
    this.#log = log;
    this.#writer = new AuditWriter({
      file: log.file,
      end: log.tail.end,
      firstSeq: log.firstSeq,
      boot: randomUUID(),
      alwaysSync: options.fsync === 'always',
      syncIntervalMs: options.fsyncIntervalMs,
      maxFileBytes: options.maxFileBytes,
      maxFiles: options.maxFiles,
      onTransition: (transition) => this.#tell(transition),
      resumption: () => this.#resumption(),
    });
  }

  /** @throws {StartFailure} when the file cannot be written, or another process writes it */
  static async open(options: AuditLogOptions): Promise<FileAuditLog> {
    return new FileAuditLog(options, await openLog(options.file));
  }

  /**
   * Tells of the daemon's start in the log, and seals it.
   *
   * @throws {StartFailure} when the token has no audit key and makes none, or knows that the log had
   *   more lines; when the log cannot be written
   */
  async start(token: AuditToken): Promise<void> {
    try {
      await this.#start(token);
    } catch (error) {
      if (!(error instanceof SigildError)) throw error;
      const { message } = error;
      throw new StartFailure('unavailable', `the audit log cannot begin: ${message}`, error);
    }
  }

  admit(effect: AuditEffect): void {
    const { failure } = this.#writer;
    if (failure && this.#isRequired(effect)) throw failure;
  }

  begin(operation: AuditedOperation): Promise<void> {
    return this.#writer.write(beginText(operation), true);
  }

  async end(operation: AuditedEnd, effect: AuditEffect): Promise<void> {
    try {
      await this.#writer.write(endText(operation, this.#digestOf(operation)));
    } catch (error) {
      this.#lostLines += 1;
      if (this.#isRequired(effect)) throw error;
    }
  }

  /** Seals the log when it says that the daemon stops, and closes it; one that has not begun stays. */
  async stop(): Promise<void> {
    try {
      if (!this.#seals) return;
      await this.#writer.write('"kind":"stop"');
      await this.#seals.stop();
    } finally {
      await this.close();
    }
  }

  /** Lets go of the file. */
  async close(): Promise<void> {
    try {
      await this.#writer.close();
    } finally {
      this.#log.unlock();
    }
  }

  async #start(token: AuditToken): Promise<void> {
    const { version, sealIntervalMs, onTransition } = this.#options;
    const { id: log, tail, file } = this.#log;
    const keyId = await withLimit(TOKEN_LIMIT_MS, "finding the audit log's key", (signal) =>
      this.#prepare(token, signal),
    );
    if (tail.isTorn) onTransition({ event: 'torn', seq: tail.end.seq });
    if (tail.lacksLineFeed) file.append(Buffer.from('\n'));
    const about = { version, log, auditKey: keyId };
    await this.#writer.write(`"kind":"start",${JSON.stringify(about).slice(1, -1)}`, true);
    this.#seals = new Seals({
      ...{ writer: this.#writer, token, log, keyId, intervalMs: sealIntervalMs, onTransition },
    });
    await this.#seals.start();
  }

  /** @returns the CKA_ID of the audit key, in hexadecimal */
  async #prepare(token: AuditToken, signal: AbortSignal): Promise<string> {
    const { id: log } = this.#log;
    const keyId = await token.auditKey(signal);
    this.#assertWhole(await token.findAuditHead(log, signal));
    if (this.#options.dataDigest) {
      const text = Buffer.from(DIGEST_TEXT_START + log);
      this.#digestKey = await token.auditMac(keyId, text, signal);
    }
    return keyId;
  }

  /** @throws {StartFailure} when the token has seen more of the log than there is */
  #assertWhole(head: AuditHead | undefined): void {
    const { file } = this.#options;
    const { seq, hash } = this.#log.tail.end;
    const isWhole = !head || head.seq < seq || (head.seq === seq && head.hash === hash);
    if (isWhole) return;
    throw new StartFailure(
      'configuration',
      `the audit log ${file} ends at line ${seq}, but the token keeps a record of a seal at line ` +
        `${head.seq}: lines were removed. Put them back; or move the files of the log and ` +
        `${file}.lock aside as evidence, and a new log begins`,
    );
  }

  #isRequired(effect: AuditEffect): boolean {
    return effect === 'change' || (effect === 'use' && this.#options.signing === 'required');
  }

  /**
   * Of one message its HMAC; of several that of all their lengths, each in 4 bytes, big-endian, each
   * with its message.
   */
  #digestOf({ data }: AuditedEnd): string | undefined {
    if (!this.#digestKey || !data || data.length === 0) return undefined;
    const mac = createHmac('sha256', this.#digestKey);
    if (data.length === 1 && data[0]) return mac.update(data[0]).digest('hex');
    for (const item of data) {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(item.byteLength);
      mac.update(length).update(item);
    }
    return mac.digest('hex');
  }

  #tell(transition: WriterTransition): void {
    const { onTransition } = this.#options;
    if (transition.event === 'resumed') {
      onTransition({ ...transition, lostLines: this.#toldLines });
      this.#lostLines -= this.#toldLines;
    } else onTransition(transition);
  }

  #resumption(): string {
    this.#toldLines = this.#lostLines;
    const end: AuditedEnd = {
      ...{ request: randomUUID(), client: ITSELF, operation: 'AuditResumed' },
      ...{ outcome: 'AUDIT_UNAVAILABLE', failed: this.#toldLines },
    };
    return endText(end, undefined);
  }
}
