import { sealedLine, sealText } from '../domain/audit-seal.ts';
import { SigildError } from '../domain/errors.ts';
import { withLimit } from '../service/deadline.ts';
import type { AuditToken } from '../service/ports.ts';
import type { AuditWriter } from './audit-writer.ts';

export interface SealsOptions {
  readonly writer: Pick<AuditWriter, 'end' | 'writeLate'>;
  readonly token: Pick<AuditToken, 'auditMac' | 'keepAuditHead'>;
  /** The log's UUID. */
  readonly log: string;
  /** The CKA_ID of the audit key, in hexadecimal. */
  readonly keyId: string;
  readonly intervalMs: number;
  readonly onTransition: (transition: SealTransition) => void;
}

/** What becomes of the seals, each told once. */
export type SealTransition =
  | { readonly event: 'unsealed'; readonly error: unknown }
  | { readonly event: 'sealed' }
  /** The token keeps no heads of logs, so that a tail that is cut off goes unnoticed. */
  | { readonly event: 'no-head'; readonly error: unknown };

/** All lines wait meanwhile. */
const MAC_LIMIT_MS = 2_000;

const HEAD_LIMIT_MS = 10_000;

const RETRY_MS = 5_000;

/** Seals the log when lines have been written, at an interval. What fails is tried again. */
export class Seals {
  readonly #options: SealsOptions;
  #sealedSeq: number;
  #timer: NodeJS.Timeout | undefined;
  #sealing: Promise<void> = Promise.resolve();
  #isStopped = false;
  #hasFailed = false;
  #keepsHeads = true;

  constructor(options: SealsOptions) {
    this.#options = options;
    this.#sealedSeq = 0;
  }

  /** Seals the log, and from then on at the interval. @returns when that was tried */
  async start(): Promise<void> {
    await this.#seal();
    this.#wait();
  }

  /** Seals the log for the last time, when what is under way has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#sealing;
    await this.#seal();
  }

  #wait(): void {
    if (this.#isStopped) return;
    const { intervalMs } = this.#options;
    const delayMs = this.#hasFailed ? Math.min(RETRY_MS, intervalMs) : intervalMs;
    this.#timer = setTimeout(() => {
      this.#sealing = this.#seal().finally(() => this.#wait());
    }, delayMs);
  }

  async #seal(): Promise<void> {
    const { writer, onTransition } = this.#options;
    if (writer.end.seq === this.#sealedSeq) return;
    try {
      const end = await writer.writeLate((start) => this.#line(start));
      this.#sealedSeq = end.seq;
      if (this.#keepsHeads) await this.#keepHead(end);
      if (this.#hasFailed) onTransition({ event: 'sealed' });
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed) onTransition({ event: 'unsealed', error });
      this.#hasFailed = true;
    }
  }

  async #line(start: string): Promise<string> {
    const { token, keyId } = this.#options;
    const unsealed = `${start}"kind":"seal"`;
    const mac = await withLimit(MAC_LIMIT_MS, 'sealing the audit log', (signal) =>
      token.auditMac(keyId, sealText(unsealed), signal),
    );
    return sealedLine(unsealed, Buffer.from(mac).toString('hex'));
  }

  async #keepHead({ seq, hash }: { readonly seq: number; readonly hash: string }): Promise<void> {
    const { token, log, onTransition } = this.#options;
    try {
      await withLimit(HEAD_LIMIT_MS, "keeping the audit log's head", (signal) =>
        token.keepAuditHead(log, { seq, hash }, signal),
      );
    } catch (error) {
      if (!(error instanceof SigildError && error.reason === 'TOKEN_REFUSED')) throw error;
      this.#keepsHeads = false;
      onTransition({ event: 'no-head', error });
    }
  }
}
