import type { AuditEffect, AuditedOperation } from '../domain/audit-event.ts';
import type { SigildError } from '../domain/errors.ts';
import type { AuditLog } from '../service/ports.ts';
import {
  type AuditedMessages,
  type AuditedResponse,
  resultOf,
  subjectOf,
} from './audited-messages.ts';
import { EFFECTS, type RpcMethod } from './audited-method.ts';
import type { Caller } from './connections.ts';
import type { Outcome, Work } from './request.ts';

const US_PER_MS = 1_000;

/** How one request is told to the audit log: before it changes anything, and before it is answered. */
export class RequestAudit {
  readonly #log: AuditLog;
  readonly #method: RpcMethod;
  readonly #effect: AuditEffect;
  readonly #caller: Caller | undefined;
  readonly #messages: () => AuditedMessages;

  /** @param messages asked when they have been read */
  constructor(
    log: AuditLog,
    method: RpcMethod,
    caller: Caller | undefined,
    messages: () => AuditedMessages,
  ) {
    this.#log = log;
    this.#method = method;
    this.#effect = EFFECTS[method];
    this.#caller = caller;
    this.#messages = messages;
  }

  /** Work that does not begin without the log where it must not. */
  begun<Response>(requestId: string, work: Work<Response>): Work<Response> {
    return async (context) => {
      this.#log.admit(this.#effect);
      if (this.#effect === 'change') {
        const { request, trace } = this.#messages();
        const { key, version } = subjectOf(request);
        await this.#log.begin({ ...this.#operation(requestId, trace), key, version });
      }
      return await work(context);
    };
  }

  /** @returns how the request is answered: not at all as it would be, where that cannot be written */
  async ended<Response>(
    requestId: string,
    outcome: Outcome<Response>,
    takenMs: number,
  ): Promise<Outcome<Response>> {
    const { request, trace } = this.#messages();
    const { response, failure } = outcome;
    const result = resultOf(this.#method, request, response as AuditedResponse | undefined);
    const { client, peer } = this.#caller ?? {};
    const end = {
      ...{ request: requestId, trace, client, peer, operation: this.#method },
      ...result,
      outcome: failure?.reason ?? 'OK',
      latencyUs: Math.round(takenMs * US_PER_MS),
    };
    try {
      await this.#log.end(end, this.#effect);
      return outcome;
    } catch (error) {
      return failure ? outcome : { response: undefined, failure: error as SigildError };
    }
  }

  #operation(request: string, trace: string | undefined): AuditedOperation {
    const { client, peer } = this.#caller ?? {};
    return { request, trace, client, peer, operation: this.#method };
  }
}
