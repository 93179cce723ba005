/** What stands before the first line of a log: the `prev` of a line that follows none. */
export const ZERO_HASH = '0'.repeat(64);

/** Longer than any line, its LF included. */
export const MAX_AUDIT_LINE_BYTES = 16_384;

/** What every line of an audit log begins with, in this order. */
export interface AuditLineStart {
  /** From 1, one more a line, across the files of a log. */
  readonly seq: number;
  /** Lower-case hexadecimal SHA-256 of the line before without its LF; {@link ZERO_HASH} in the first. */
  readonly prev: string;
  /** RFC 3339 in UTC with milliseconds; only {@link seq} tells the order. */
  readonly time: string;
  /** A UUID, another at each start of the daemon. */
  readonly boot: string;
}

/** What the daemon says of an operation, in this order; what does not apply is left out. */
export interface AuditedOperation {
  readonly request?: string;
  /** 32 hexadecimal digits. */
  readonly trace?: string;
  readonly client?: string;
  readonly peer?: string;
  /** The name of the method. */
  readonly operation: string;
  readonly key?: string;
  readonly version?: number;
  /** The request only tried; it has no `begin` line. */
  readonly dryRun?: true;
}

export interface StartLine extends AuditLineStart {
  readonly kind: 'start';
  /** Of sigild. */
  readonly version: string;
  /** The log's UUID, the same in all files of one chain. */
  readonly log: string;
  /** Hexadecimal CKA_ID of the key that makes the seals from here on. */
  readonly auditKey: string;
}

/** Written before the token is changed. */
export interface BeginLine extends AuditLineStart, AuditedOperation {
  readonly kind: 'begin';
}

/** Written before the caller is answered. */
export interface EndLine extends AuditLineStart, AuditedOperation {
  readonly kind: 'end';
  /** `OK` or the reason of an error. */
  readonly outcome: string;
  readonly valid?: boolean;
  readonly items?: number;
  readonly failed?: number;
  readonly latencyUs?: number;
  /** Hexadecimal HMAC-SHA-256. */
  readonly dataDigest?: string;
}

export interface SealLine extends AuditLineStart {
  readonly kind: 'seal';
  /** 64 hexadecimal digits; see sealText in audit-seal.ts. */
  readonly mac: string;
}

export interface StopLine extends AuditLineStart {
  readonly kind: 'stop';
}

export type AuditLine = StartLine | BeginLine | EndLine | SealLine | StopLine;

/** A line's text, and what it says; or what is wrong with it. */
export type ReadAuditLine =
  | { readonly line: AuditLine; readonly text: string; readonly wrong?: undefined }
  | { readonly wrong: string };

const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

interface Member {
  readonly name: string;
  readonly isOptional: boolean;
  readonly allows: (value: unknown) => boolean;
}

const START: readonly Member[] = [
  required('seq', isCount(1)),
  required('prev', isMatch(/^[0-9a-f]{64}$/)),
  required('time', isTime),
  required('boot', isMatch(UUID)),
];

const OPERATION: readonly Member[] = [
  optional('request', isText),
  optional('trace', isMatch(/^[0-9a-f]{32}$/)),
  optional('client', isText),
  optional('peer', isText),
  required('operation', isText),
  optional('key', isText),
  optional('version', isCount(1)),
  optional('dryRun', (value) => value === true),
];

/** All that may follow the members that every line has. */
const MEMBERS = {
  start: [
    required('version', isText),
    required('log', isMatch(UUID)),
    required('auditKey', isMatch(/^(?:[0-9a-f]{2})+$/)),
  ],
  begin: OPERATION,
  end: [
    ...OPERATION,
    required('outcome', isText),
    optional('valid', (value) => typeof value === 'boolean'),
    optional('items', isCount(0)),
    optional('failed', isCount(0)),
    optional('latencyUs', isCount(0)),
    optional('dataDigest', isMatch(/^[0-9a-f]{64}$/)),
  ],
  seal: [required('mac', isMatch(/^[0-9a-f]{64}$/))],
  stop: [],
} as const satisfies Record<AuditLine['kind'], readonly Member[]>;

/**
 * Reads one line, which must be to the byte what JSON.stringify makes of its members: a text that says
 * the same in other bytes is not read.
 *
 * @param bytes without the LF; any bytes at all
 */
export function readAuditLine(bytes: Uint8Array): ReadAuditLine {
  const text = decoded(bytes);
  if (text === undefined) return { wrong: 'it is not UTF-8' };
  const fields = parsed(text);
  if (!fields) return { wrong: 'it is not a JSON object' };
  const wrong = wrongMember(fields);
  if (wrong !== undefined) return { wrong };
  if (JSON.stringify(fields) !== text) return { wrong: 'it is not written as sigild writes it' };
  return { line: fields as unknown as AuditLine, text };
}

type Fields = Readonly<Record<string, unknown>>;

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return DECODER.decode(bytes);
  } catch {
    return undefined;
  }
}

function parsed(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Fields)
      : undefined;
  } catch {
    return undefined;
  }
}

function wrongMember(fields: Fields): string | undefined {
  const kind = fields['kind'];
  if (!isKind(kind)) return 'it is of no kind that is known';
  const members = [...START, required('kind', isKind), ...MEMBERS[kind]];
  const there = members.filter(
    ({ name, isOptional }) => !isOptional || Object.hasOwn(fields, name),
  );
  const wrong = there.find(({ name, allows }) => !allows(fields[name]));
  if (wrong) return `its ${wrong.name} is missing or none`;
  const isInOrder = Object.keys(fields).join() === there.map(({ name }) => name).join();
  return isInOrder ? undefined : 'it has another member, or its members in another order';
}

function isKind(value: unknown): value is AuditLine['kind'] {
  return typeof value === 'string' && Object.hasOwn(MEMBERS, value);
}

function required(name: string, allows: Member['allows']): Member {
  return { name, isOptional: false, allows };
}

function optional(name: string, allows: Member['allows']): Member {
  return { name, isOptional: true, allows };
}

function isCount(min: number): Member['allows'] {
  return (value) => Number.isSafeInteger(value) && Number(value) >= min;
}

function isMatch(pattern: RegExp): Member['allows'] {
  return (value) => typeof value === 'string' && pattern.test(value);
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}

function isTime(value: unknown): boolean {
  if (typeof value !== 'string' || value.length !== 24) return false;
  const ms = Date.parse(value);
  return !Number.isNaN(ms) && new Date(ms).toISOString() === value;
}
