import type { AuditEffect, AuditedEnd } from '../domain/audit-event.ts';
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

  /**
   * Work that does not begin without the log where it must not.
   *
   * @throws {SigildError} AUDIT_UNAVAILABLE, as the work does when it is begun
   */
  begun<Response>(requestId: string, work: Work<Response>): Work<Response> {
    this.#log.admit(this.#effect);
    if (this.#effect !== 'change') return work;
    return async (context) => {
      const { request, trace } = this.#messages();
      if (request?.dryRun) return await work(context);
      const { key, version } = subjectOf(request);
      const { client, peer } = this.#caller ?? {};
      const operation = this.#method;
      await this.#log.begin({ request: requestId, trace, client, peer, operation, key, version });
      return await work(context);
    };
  }

  /** @returns how the request is answered: not at all as it would be, where that cannot be written */
  async ended<Response>(
    requestId: string,
    outcome: Outcome<Response>,
    takenMs: number,
  ): Promise<Outcome<Response>> {
    const { response, failure } = outcome;
    try {
      const answer = response as AuditedResponse | undefined;
      await this.#log.end(this.#end(requestId, answer, failure, takenMs), this.#effect);
      return outcome;
    } catch (error) {
      return failure ? outcome : { response: undefined, failure: error as SigildError };
    }
  }

  /** Made for every request: member by member, which costs the least. */
  #end(
    requestId: string,
    response: AuditedResponse | undefined,
    failure: SigildError | undefined,
    takenMs: number,
  ): AuditedEnd {
    const { request, trace } = this.#messages();
    const result = resultOf(this.#method, request, response);
    return {
      request: requestId,
      trace,
      client: this.#caller?.client,
      peer: this.#caller?.peer,
      operation: this.#method,
      key: result.key,
      version: result.version,
      dryRun: request?.dryRun || undefined,
      outcome: failure?.reason ?? 'OK',
      valid: result.valid,
      items: result.items,
      failed: result.failed,
      latencyUs: Math.round(takenMs * US_PER_MS),
      data: result.data,
    };
  }
}
