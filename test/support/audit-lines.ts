import { readFileSync } from 'node:fs';
import { hashOf } from '../../src/audit/line-hash.ts';
import { type AuditLine, readAuditLine, ZERO_HASH } from '../../src/domain/audit-line.ts';

/** The whole lines of a log, in the order of its files. @throws {Error} for one that is none */
export function auditLines(...files: readonly string[]): AuditLine[] {
  return textsOf(files).map((text) => {
    const read = readAuditLine(Buffer.from(text));
    if (read.wrong !== undefined) throw new Error(`${read.wrong}: ${text}`);
    return read.line;
  });
}

/** What is wrong with a chain: nothing, where each line follows the one before. */
export function breaksIn(...files: readonly string[]): readonly string[] {
  let expected = { seq: 1, prev: ZERO_HASH };
  const breaks: string[] = [];
  for (const text of textsOf(files)) {
    const { seq, prev } = JSON.parse(text) as AuditLine;
    if (seq !== expected.seq || prev !== expected.prev) breaks.push(text);
    expected = { seq: seq + 1, prev: hashOf(text) };
  }
  return breaks;
}

function textsOf(files: readonly string[]): string[] {
  return files.flatMap((file) => readFileSync(file, 'utf8').split('\n').slice(0, -1));
}
