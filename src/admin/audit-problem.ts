import { hashOf } from '../audit/line-hash.ts';
import { type AuditLine, readAuditLine } from '../domain/audit-line.ts';
import type { ChainPoint, LinePlace, LogProblem } from './audit-chain.ts';
import type { LogLine } from './audit-files.ts';
import type { FileLine } from './line-splitter.ts';

/** The line before a problem. */
interface Before {
  readonly last: ChainPoint;
  readonly place: LinePlace | undefined;
}

/**
 * Tells what happened by the lines that come after.
 *
 * @param line the one at which the problem was found
 * @param rest all lines after it
 */
export async function explain(
  problem: LogProblem,
  before: Before,
  line: FileLine,
  rest: AsyncIterable<LogLine>,
): Promise<LogProblem> {
  if (problem.kind === 'removed') return (await reordered(problem, before.last, rest)) ?? problem;
  const found = lineOf(line);
  if (problem.kind !== 'changed' || found?.seq !== before.last.seq + 1) return problem;
  // Lines before it cannot be read, or it has another prev than the line before it has a hash.
  if (found.prev === before.last.hash) {
    return problem.line === line.number ? problem : { ...problem, kind: 'inserted' };
  }
  for await (const { line: after } of rest) {
    return blamed(problem, before, { found, hash: hashOf(line.bytes) }, lineOf(after));
  }
  return problem;
}

/** Lines that are not where they belong may stand further on. */
async function reordered(
  problem: LogProblem,
  last: ChainPoint,
  rest: AsyncIterable<LogLine>,
): Promise<LogProblem | undefined> {
  const end = problem.seq ?? 0;
  for await (const { file, line } of rest) {
    const seq = lineOf(line)?.seq ?? 0;
    if (seq <= last.seq || seq >= end) continue;
    const message = `the line with seq ${seq} stands behind it, at ${file}:${line.number}`;
    return { ...problem, kind: 'reordered', message };
  }
  return undefined;
}

/** Which of two lines that do not fit together is the wrong one, as the line after them tells. */
function blamed(
  problem: LogProblem,
  { place }: Before,
  { found, hash }: { readonly found: AuditLine; readonly hash: string },
  after: AuditLine | undefined,
): LogProblem {
  if (after?.seq === found.seq) {
    return { ...problem, kind: 'inserted', message: `another line with seq ${found.seq} follows` };
  }
  if (after?.prev !== hash || !place) return problem;
  return { ...problem, ...place, message: 'its hash is not the one that the line after carries' };
}

function lineOf({ bytes, isWhole }: FileLine): AuditLine | undefined {
  const read = isWhole ? readAuditLine(bytes) : undefined;
  return read?.wrong === undefined ? read?.line : undefined;
}
