import type { ChainPoint, LogProblem } from './audit-chain.ts';
import type { LogReport } from './audit-verifier.ts';
import { fields, printable } from './layout.ts';

/** `audit verify -o json` */
export interface AuditVerification {
  readonly whole: boolean;
  /** Against what: the seals that the token has made, or no more than the hashes in the log itself. */
  readonly checked: 'seals' | 'chain';
  /** The first thing that is wrong. */
  readonly problem: LogProblem | undefined;
  /** The log's UUID. */
  readonly log: string | undefined;
  /** Up to the first thing that is wrong, as all that follows. */
  readonly lines: number;
  readonly end: ChainPoint;
  readonly seals: number;
  readonly lastSeal: LogReport['lastSeal'];
  readonly tornParts: number;
  /** What the answer says nothing of. */
  readonly notProven: readonly string[];
}

/** What was asked for, as far as it limits the answer. */
export interface VerificationLimits {
  readonly isChainOnly: boolean;
  readonly isContinued: boolean;
  readonly after: ChainPoint | undefined;
}

export function verificationDocument(
  report: LogReport,
  limits: VerificationLimits,
): AuditVerification {
  const { problem, log, lines, end, seals, lastSeal, torn } = report;
  return {
    whole: problem === undefined,
    checked: limits.isChainOnly ? 'chain' : 'seals',
    problem,
    ...{ log, lines, end, seals, lastSeal },
    tornParts: torn.parts,
    notProven: notProven(report, limits),
  };
}

export function verificationText(document: AuditVerification, { torn }: LogReport): string {
  const { problem, end, lastSeal, seals } = document;
  const details = fields({
    log: document.log ?? 'not told by these lines',
    lines: `${document.lines}, the last one with seq ${end.seq}`,
    seals: lastSeal
      ? `${seals}, the last one with seq ${lastSeal.seq} at ${lastSeal.time}`
      : 'none',
    'torn parts': torn.last ? `${torn.parts}, the last one at ${placeText(torn.last)}` : 'none',
    end: end.hash === undefined ? `${end.seq}` : `${end.seq}:${end.hash}`,
  });
  const limits = document.notProven.map((what) => `not proven: ${what}\n`).join('');
  const heading = problem ? `not whole: ${problemText(problem)}` : HEADING[document.checked];
  return `${heading}\n${details}${limits}`;
}

const HEADING = {
  seals: 'whole, as the token has sealed it',
  chain: 'the chain is whole; NOT PROVEN by any seal',
} as const satisfies Record<AuditVerification['checked'], string>;

/** What else than a forger may be the cause. */
const HINTS: Partial<Record<LogProblem['kind'], string>> = {
  cut: 'where newer files of the log are elsewhere, give them too, or --continued',
  removed: 'where older files of the log are elsewhere, give them too, or --after SEQ:HASH',
  torn: 'a daemon that was killed ends such a line when it starts again',
};

/** @returns what the user can do about it */
export function hintFor(problem: LogProblem | undefined): string | undefined {
  return problem && HINTS[problem.kind];
}

function problemText(problem: LogProblem): string {
  const { kind, message, seq } = problem;
  const number = seq === undefined ? '' : ` (seq ${seq})`;
  return printable(`${kind}, ${placeText(problem)}${number}: ${message}`);
}

function placeText({ file, line }: { readonly file: string; readonly line: number }): string {
  return file === '' ? 'the files' : `${file}:${line}`;
}

function notProven(report: LogReport, limits: VerificationLimits): string[] {
  const { end, lastSeal, problem, isEndHeld } = report;
  const { isChainOnly, isContinued, after } = limits;
  const from = (lastSeal?.seq ?? after?.seq ?? 0) + 1;
  const facts: readonly (readonly [boolean, string])[] = [
    [isChainOnly, 'that a daemon wrote these lines: whoever can write the files can make a chain'],
    [isChainOnly, 'that no lines are missing at the end'],
    [
      after !== undefined && after.hash === undefined,
      `what stood before seq ${(after?.seq ?? 0) + 1}`,
    ],
    [!isChainOnly && end.seq >= from, `seq ${from} to ${end.seq}, which come after the last seal`],
    [!isChainOnly && isContinued, 'the end: the log goes on in other files'],
    [
      !isChainOnly && !isContinued && !isEndHeld,
      'the end: the token keeps no newest seal of this log',
    ],
  ];
  return problem ? [] : facts.filter(([applies]) => applies).map(([, what]) => what);
}
