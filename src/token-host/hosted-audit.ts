import type { AuditHead, KeptHead } from '../domain/audit-seal.ts';
import type { Cancellation } from '../domain/cancellation.ts';
import type { AuditToken } from '../service/ports.ts';
import type { Dispatcher } from './dispatcher.ts';
import { decodeJson, encodeEmpty, encodeJson, OPERATION } from './protocol.ts';
import type { Writer } from './writer.ts';

/** What OPERATION.auditMac carries. */
export interface TextToSign {
  readonly keyId: string;
  /** In base64. */
  readonly text: string;
}

/** What the hosts do for the audit log. */
export class HostedAudit implements AuditToken {
  readonly #dispatcher: Pick<Dispatcher, 'submit'>;
  readonly #writer: Pick<Writer, 'submit'>;
  readonly #scanLimitMs: number;

  /** @param scanLimitMs of a call that looks at the whole token */
  constructor(
    dispatcher: Pick<Dispatcher, 'submit'>,
    writer: Pick<Writer, 'submit'>,
    scanLimitMs: number,
  ) {
    this.#dispatcher = dispatcher;
    this.#writer = writer;
    this.#scanLimitMs = scanLimitMs;
  }

  async auditKey(signal: Cancellation): Promise<string> {
    return decodeJson(
      await this.#writer.submit(encodeEmpty(OPERATION.auditKey), this.#call(signal)),
    );
  }

  async auditMac(keyId: string, text: Uint8Array, signal: Cancellation): Promise<Uint8Array> {
    const request: TextToSign = { keyId, text: Buffer.from(text).toString('base64') };
    const frame = encodeJson(OPERATION.auditMac, request);
    return Buffer.from(
      decodeJson<string>(await this.#dispatcher.submit(frame, this.#call(signal))),
      'base64',
    );
  }

  async findAuditHead(log: string, signal: Cancellation): Promise<AuditHead | undefined> {
    const frame = encodeJson(OPERATION.findAuditHead, log);
    return decodeJson(await this.#dispatcher.submit(frame, this.#call(signal)));
  }

  async keepAuditHead(log: string, head: AuditHead, signal: Cancellation): Promise<void> {
    const kept: KeptHead = { log, head };
    await this.#writer.submit(encodeJson(OPERATION.keepAuditHead, kept), this.#call(signal));
  }

  /** Each may be done twice: a key or a head that there are two of counts once. */
  #call(signal: Cancellation) {
    return { repeatable: true, macs: 0, limitMs: this.#scanLimitMs, signal };
  }
}
