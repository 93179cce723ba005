import type { AuditHead } from '../domain/audit-seal.ts';
import {
  AuditChain,
  BEFORE_FIRST,
  type ChainFindings,
  type ChainPoint,
  type CheckSeal,
  type LogProblem,
} from './audit-chain.ts';
import { type LogFile, linesOf } from './audit-files.ts';
import { KeptPoints } from './audit-points.ts';
import { explain } from './audit-problem.ts';

/** What the token can say of logs. */
export interface LogWitness {
  readonly checkSeal: CheckSeal;
  /** The newest seals as the token has kept them, by the UUIDs of their logs. */
  readonly heads: ReadonlyMap<string, AuditHead>;
}

export interface VerifyOptions {
  /** Undefined to follow the chain alone. */
  readonly witness?: LogWitness | undefined;
  /** What the first line follows, where that is not the beginning of the log. */
  readonly after?: ChainPoint | undefined;
  /** A line that the log must hold, as somebody else has kept it. */
  readonly expected?: AuditHead | undefined;
  /** Whether the log goes on in files that are not given, so that its end cannot be checked. */
  readonly isContinued?: boolean;
}

/** What verifying a log has found. */
export interface LogReport extends ChainFindings {
  readonly problem: LogProblem | undefined;
  /** Whether the end was found to be what the token keeps of it. */
  readonly isEndHeld: boolean;
}

/**
 * Verifies the files of one log, in constant memory.
 *
 * @param files in their order
 */
export async function verifyLog(
  files: readonly LogFile[],
  { witness, after = BEFORE_FIRST, expected, isContinued = false }: VerifyOptions,
): Promise<LogReport> {
  const chain = new AuditChain(after, witness?.checkSeal);
  const points = new KeptPoints(witness?.heads ?? new Map(), expected);
  const problem =
    (await follow(files, chain, points)) ??
    chain.finish() ??
    points.problem(chain, after, isContinued) ??
    unproven(chain, witness);
  const { findings } = chain;
  const isEndHeld = problem === undefined && points.isHeadSeen(findings.log);
  return { problem, ...findings, isEndHeld };
}

async function follow(
  files: readonly LogFile[],
  chain: AuditChain,
  points: KeptPoints,
): Promise<LogProblem | undefined> {
  const lines = linesOf(files);
  for await (const { file, line } of lines) {
    const before = { last: chain.last, place: chain.place };
    const problem = chain.take(line, file);
    // Awaited here: the loop's end closes the lines, which are still to be read.
    if (problem) return await explain(problem, before, line, lines);
    if (chain.last !== before.last) points.see(chain.last, chain.place);
  }
  return undefined;
}

/** What must not pass for a log that was proven, though nothing in it is wrong. */
function unproven(chain: AuditChain, witness: LogWitness | undefined): LogProblem | undefined {
  const { place, findings } = chain;
  if (!place) return { kind: 'cut', file: '', line: 0, message: 'there is no line in it' };
  if (!witness || findings.seals > 0) return undefined;
  return { kind: 'seal', ...place, message: 'no line is a seal, so nothing proves the lines' };
}
