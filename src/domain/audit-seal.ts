import type { SealLine } from './audit-line.ts';

/** The label of the keys that make seals. Not a key name, so that no client can use one. */
export const AUDIT_KEY_LABEL = 'sigild:audit';

/** The newest seal of a log, as its daemon keeps it on the token beside the file. */
export interface AuditHead {
  readonly seq: number;
  /** Hexadecimal SHA-256 of the seal's line. */
  readonly hash: string;
}

/** A head and whose it is. */
export interface KeptHead {
  /** The log's UUID. */
  readonly log: string;
  readonly head: AuditHead;
}

/** More bytes than any head record has. */
export const MAX_AUDIT_HEAD_BYTES = 256;

const SEAL_TEXT_START = 'sigild audit seal v1\n';
const MAC_HEX_DIGITS = 64;

/** All of a seal's line but its MAC and what follows. */
export function unsealedText(line: Omit<SealLine, 'mac'>): string {
  return JSON.stringify(line).slice(0, -1);
}

/** @param unsealed as {@link unsealedText} makes it @param mac hexadecimal @returns the line without LF */
export function sealedLine(unsealed: string, mac: string): string {
  return `${unsealed},"mac":"${mac}"}`;
}

/** The part of a seal's whole line that {@link sealedLine} was given. */
export function unsealedPart(line: string): string {
  return line.slice(0, -sealedLine('', '0'.repeat(MAC_HEX_DIGITS)).length);
}

/** What the audit key makes the MAC of a seal over. @param unsealed as {@link unsealedText} makes it */
export function sealText(unsealed: string): Uint8Array {
  return new TextEncoder().encode(SEAL_TEXT_START + unsealed);
}

/** The label of the data objects that hold a log's {@link AuditHead}. @param log the log's UUID */
export function auditHeadLabel(log: string): string {
  return `${AUDIT_KEY_LABEL}:${log}`;
}

export function encodeAuditHead({ seq, hash }: AuditHead): string {
  return JSON.stringify({ seq, hash });
}

/** @returns undefined for what {@link encodeAuditHead} has not made */
export function decodeAuditHead(text: string): AuditHead | undefined {
  const [, seq, hash] = /^\{"seq":([1-9][0-9]{0,15}),"hash":"([0-9a-f]{64})"\}$/.exec(text) ?? [];
  if (hash === undefined || !Number.isSafeInteger(Number(seq))) return undefined;
  return { seq: Number(seq), hash };
}
