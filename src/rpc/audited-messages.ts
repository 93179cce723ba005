import type { Metadata } from '@grpc/grpc-js';
import type { AuditedEnd } from '../domain/audit-event.ts';
import { isKeyName } from '../domain/key.ts';
import type { RpcMethod } from './audited-method.ts';

/** What the audit log reads of requests; each has some of it, and anything may be wrong with it. */
export interface AuditedRequest {
  readonly key?: string | undefined;
  readonly version?: number | undefined;
  /** Of a batch a list. */
  readonly data?: Uint8Array | readonly Uint8Array[] | undefined;
  readonly digest?: Uint8Array | undefined;
  readonly dryRun?: boolean | undefined;
}

/** What it reads of answers; those of frames have it in one of these. */
export interface AuditedResponse extends Answer {
  readonly sign?: Answer | null;
  readonly verify?: Answer | null;
}

interface Answer {
  /** The version that signed or verified. */
  readonly version?: number;
  readonly valid?: boolean;
  /** Of a verified batch: of each message its version, or 0. */
  readonly versions?: readonly number[];
  /** Its newest version first. */
  readonly key?: { readonly versions?: readonly { readonly version?: number }[] } | null;
}

/** What a request and its answer say, for the audit log. */
export interface AuditedMessages {
  /** Undefined where nothing was read of it. */
  readonly request: AuditedRequest | undefined;
  /** The 32 hexadecimal digits of the trace that it is part of. */
  readonly trace: string | undefined;
}

/** The subject of a line, as the request names it. */
export type Subject = Pick<AuditedEnd, 'key' | 'version'>;

/** What a line says of the answer besides. */
type Result = Subject & Pick<AuditedEnd, 'valid' | 'items' | 'failed' | 'data'>;

/** Those whose answer has the version that they have made. */
const MAKES_VERSION: ReadonlySet<RpcMethod> = new Set(['CreateKey', 'RotateKey', 'ImportKey']);

/** version-format, trace-id, parent-id and trace-flags, each in lower-case hexadecimal. */
const TRACE_PARENT =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})(?<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}/;

/** The trace that a caller's `traceparent` names, if it is one. */
export function traceOf(metadata: Metadata): string | undefined {
  const [parent] = metadata.get('traceparent');
  return typeof parent === 'string' ? TRACE_PARENT.exec(parent)?.groups?.['trace'] : undefined;
}

/** A key that cannot be one is left out: it may be of any length. */
export function subjectOf({ key, version }: AuditedRequest = {}): Subject {
  return {
    key: key !== undefined && isKeyName(key) ? key : undefined,
    version: version || undefined,
  };
}

/** @param whole the answer; undefined when the request failed */
export function resultOf(
  method: RpcMethod,
  request: AuditedRequest | undefined,
  whole: AuditedResponse | undefined,
): Result {
  const response = whole?.sign ?? whole?.verify ?? whole;
  const { key, version } = subjectOf(request);
  const made = MAKES_VERSION.has(method) ? response?.key?.versions?.[0]?.version : undefined;
  const used = response?.version || made || version;
  const { data, digest } = request ?? {};
  if (!Array.isArray(data)) {
    const single = data ?? digest;
    return { key, version: used, valid: response?.valid, data: single && [single as Uint8Array] };
  }
  return { key, version: used, data, ...batchResult(data.length, response) };
}

function batchResult(items: number, response: Answer | undefined) {
  const { versions } = response ?? {};
  const failed = response ? (versions?.filter((version) => version === 0).length ?? 0) : items;
  return { items, failed, valid: versions && failed === 0 };
}
