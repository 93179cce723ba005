import { fstatSync, readSync } from 'node:fs';
import {
  type AuditLine,
  MAX_AUDIT_LINE_BYTES,
  readAuditLine,
  ZERO_HASH,
} from '../domain/audit-line.ts';
import type { ChainEnd } from './chain.ts';
import { hashOf, tornHash } from './line-hash.ts';

/** Where a log goes on. */
export interface LogTail {
  readonly end: ChainEnd;
  /** Whether a crash has left lines that are not whole; they stay, and count as one. */
  readonly isTorn: boolean;
  /** Whether the last line lacks its LF, whole or not. */
  readonly lacksLineFeed: boolean;
}

export const EMPTY_LOG: ChainEnd = { seq: 0, hash: ZERO_HASH };

/** A whole line, one that is torn, and a line more than enough. */
const TAIL_BYTES = 3 * MAX_AUDIT_LINE_BYTES;

const LINE_FEED = 0x0a;

/**
 * Reads the end of a log's file.
 *
 * @param before where the log ended before this file
 * @throws {Error} when it does not end as a log does
 */
export function readTail(fd: number, before: ChainEnd): LogTail {
  const bytes = fstatSync(fd).size;
  if (bytes === 0) return { end: before, isTorn: false, lacksLineFeed: false };
  const isWholeFile = bytes <= TAIL_BYTES;
  const lines = linesOf(readAt(fd, Math.max(0, bytes - TAIL_BYTES), Math.min(bytes, TAIL_BYTES)));
  if (!isWholeFile) lines.shift();
  const lacksLineFeed = lines.at(-1)?.byteLength !== 0;
  if (!lacksLineFeed) lines.pop();
  const at = lines.findLastIndex((line) => read(line) !== undefined);
  if (at === -1 && !(isWholeFile && lines.length === 1)) throw notALog();
  const end = at === -1 ? before : endOf(lines[at] ?? Buffer.alloc(0), before);
  const torn = lines.slice(at + 1);
  if (torn.length === 0) return { end, isTorn: false, lacksLineFeed };
  if (torn.some((line) => line.byteLength >= MAX_AUDIT_LINE_BYTES)) throw notALog();
  const hash = tornHash(end.hash).update(joined(torn)).digest('hex');
  return { end: { seq: end.seq + 1, hash }, isTorn: true, lacksLineFeed };
}

/** @returns what the first line of a file says; undefined when that is no line of a log */
export function readFirstLine(fd: number): AuditLine | undefined {
  const [first, ...rest] = linesOf(readAt(fd, 0, MAX_AUDIT_LINE_BYTES));
  return first && rest.length > 0 ? read(first) : undefined;
}

/** The end with a line, where it is one. */
function endOf(bytes: Buffer, before: ChainEnd): ChainEnd {
  const line = read(bytes);
  return line ? { seq: line.seq, hash: hashOf(bytes) } : before;
}

/** The lines with the line feeds between them. */
function joined(lines: readonly Buffer[]): Buffer {
  const lineFeed = Buffer.of(LINE_FEED);
  return Buffer.concat(lines.flatMap((line, index) => (index === 0 ? [line] : [lineFeed, line])));
}

function read(bytes: Buffer): AuditLine | undefined {
  const result = readAuditLine(bytes);
  return result.wrong === undefined ? result.line : undefined;
}

/** @returns what is between line feeds; the last is empty where the bytes end in one */
function linesOf(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let start = 0;
  for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, start)) {
    lines.push(bytes.subarray(start, at));
    start = at + 1;
  }
  lines.push(bytes.subarray(start));
  return lines;
}

function readAt(fd: number, position: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  let done = 0;
  while (done < bytes) {
    const count = readSync(fd, buffer, done, bytes - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return buffer.subarray(0, done);
}

function notALog(): Error {
  return new Error(
    'it does not end as an audit log does: move it aside, with the files beside it whose names ' +
      'begin with its own, and a new log begins',
  );
}
