import { existsSync } from 'node:fs';
import type { AuditHead } from '../domain/audit-seal.ts';
import { withAuditWitness } from '../pkcs11/audit-witness.ts';
import type { ChainPoint } from './audit-chain.ts';
import { hintFor, verificationDocument, verificationText } from './audit-documents.ts';
import { inOrder, logFiles } from './audit-files.ts';
import {
  type LogReport,
  type LogWitness,
  type VerifyOptions,
  verifyLog,
} from './audit-verifier.ts';
import { EXIT_STATUS } from './exit-status.ts';
import type { CommandResult } from './invocation.ts';
import { onToken } from './on-module.ts';
import { readUserPin } from './pin-input.ts';

/** How many files a daemon may put aside while a log is verified. */
const MAX_PUT_ASIDE = 10;

/** The token that has sealed a log. */
export interface SealTokenOptions {
  readonly module: string;
  readonly label: string;
  readonly serial?: string;
  readonly pinFile?: string;
  readonly pinFd?: number;
}

export interface VerifyLogOptions {
  readonly after?: ChainPoint;
  readonly expect?: AuditHead;
  readonly continued?: boolean;
}

/**
 * `audit verify` with the token. What the token keeps is read before the files are, to which a daemon
 * may be adding lines.
 */
export async function verifySealed(
  files: readonly string[],
  options: VerifyLogOptions & SealTokenOptions,
): Promise<CommandResult> {
  const { module, label, serial, pinFile, pinFd } = options;
  return onToken(module, { label, serial }, async (token) => {
    const pin = await readUserPin({ name: 'user PIN', file: pinFile, fd: pinFd });
    return withAuditWitness(token, pin, (witness) => verifyChain(files, options, witness));
  });
}

/** `audit verify`. @param witness undefined to follow the chain alone */
export async function verifyChain(
  files: readonly string[],
  { after, expect: expected, continued: isContinued = false }: VerifyLogOptions,
  witness?: LogWitness,
): Promise<CommandResult> {
  const report = await verifyFiles(files, { witness, after, expected, isContinued });
  const document = verificationDocument(report, {
    isChainOnly: witness === undefined,
    ...{ isContinued, after },
  });
  const hint = hintFor(report.problem);
  return {
    document,
    text: verificationText(document, report),
    ...(hint === undefined ? {} : { note: hint }),
    exitCode: document.whole ? EXIT_STATUS.done.code : EXIT_STATUS.notValid.code,
  };
}

/** Verifies files, and those that the daemon has put aside since they were named. */
async function verifyFiles(files: readonly string[], options: VerifyOptions): Promise<LogReport> {
  const names = [...files];
  for (;;) {
    const report = await verifyLog(await inOrder(logFiles(names)), options);
    const name = putAsideName(report);
    const isNew = name !== undefined && existsSync(name) && !names.includes(name);
    if (!isNew || names.length >= files.length + MAX_PUT_ASIDE) return report;
    names.push(name);
  }
}

/** @returns the name of the file that would hold the lines which are missing before another one */
function putAsideName({ problem, lines, end }: LogReport): string | undefined {
  const isBetweenFiles = problem?.kind === 'removed' && problem.line === 1 && lines > 0;
  return isBetweenFiles ? `${problem.file}.${String(end.seq + 1).padStart(12, '0')}` : undefined;
}
