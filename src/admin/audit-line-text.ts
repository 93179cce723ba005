import {
  type AuditLine,
  type BeginLine,
  type EndLine,
  type ReadAuditLine,
  readAuditLine,
} from '../domain/audit-line.ts';
import type { LogLine } from './audit-files.ts';
import { printable } from './layout.ts';
import type { OutputFormat } from './output.ts';

/** A line of a log, read; or why it cannot be. */
export function readLogLine({ line: { bytes, isWhole } }: LogLine): ReadAuditLine {
  return isWhole ? readAuditLine(bytes) : { wrong: 'it is torn, or too long' };
}

/** What is printed of a line of a log, with an LF. */
export function printedLine(found: LogLine, read: ReadAuditLine, format: OutputFormat): string {
  const { file, line } = found;
  if (format === 'json') {
    const unreadable = { file, line: line.number, why: read.wrong };
    return `${read.wrong === undefined ? read.text : JSON.stringify({ unreadable })}\n`;
  }
  const place = `${file}:${line.number}`;
  const text =
    read.wrong === undefined ? lineText(read.line) : `${place} is no line: ${read.wrong}`;
  return `${printable(text)}\n`;
}

const KIND_WIDTH = 5;

/** For people: what happened first, then who and with what. */
function lineText(line: AuditLine): string {
  return [line.time, String(line.seq), line.kind.padEnd(KIND_WIDTH), ...saidBy(line)]
    .join(' ')
    .trimEnd();
}

function saidBy(line: AuditLine): string[] {
  switch (line.kind) {
    case 'start':
      return [`sigild=${line.version}`, `log=${line.log}`, `auditKey=${line.auditKey}`];
    case 'begin':
      return [line.operation, ...detailsOf(line, DETAILS)];
    case 'end':
      return [line.operation, line.outcome, ...detailsOf(line, [...DETAILS, ...RESULTS])];
    default:
      return [];
  }
}

const DETAILS = ['client', 'peer', 'key', 'version', 'request', 'trace'] as const;
const RESULTS = ['valid', 'items', 'failed', 'latencyUs', 'dataDigest'] as const;

function detailsOf(line: BeginLine | EndLine, names: readonly string[]): string[] {
  const said = new Map<string, unknown>(Object.entries(line));
  return names.flatMap((name) => {
    const value = said.get(name);
    return value === undefined ? [] : [`${name}=${detailText(String(value))}`];
  });
}

/** A name that holds blanks must not pass for two details. */
function detailText(value: string): string {
  return /[\s"=]/.test(value) || value === '' ? JSON.stringify(value) : value;
}
