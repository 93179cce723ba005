import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { MAX_AUDIT_LINE_BYTES, readAuditLine } from '../domain/audit-line.ts';
import { messageOf, usageFailure } from './command-failure.ts';
import { type FileLine, LineSplitter } from './line-splitter.ts';

/** One file of a log. */
export interface LogFile {
  readonly name: string;
  /** All lines in pieces, from the first one at each call. */
  lines(): AsyncIterable<readonly FileLine[]>;
}

/** A line of a log, and its file. */
export interface LogLine {
  readonly file: string;
  readonly line: FileLine;
}

/** In how many lines of a file the first one that can be read is looked for. */
const FIRST_LINES = 100;

const PIECE_BYTES = 65_536;

/** How long the daemon gets for the rest of a line that it is writing: a line is written at once. */
const WAIT_MS = 100;
const MAX_WAITS = 5;

/** What a daemon keeps beside its log; a pattern such as audit.log* names it too. */
const LOCK = '.lock';

/** The files of a log, which are read anew each time. Their lines throw {CommandFailure} USAGE. */
export function logFiles(names: readonly string[]): LogFile[] {
  return names
    .filter((name) => !name.endsWith(LOCK))
    .map((name) => ({ name, lines: () => linesIn(name) }));
}

/**
 * Puts the files of a log into their order, by the numbers of their lines.
 *
 * @param files in any order
 * @throws {CommandFailure} USAGE for one that cannot be read
 */
export async function inOrder(files: readonly LogFile[]): Promise<LogFile[]> {
  const found: { readonly file: LogFile; readonly seq: number }[] = [];
  for (const file of files) found.push({ file, seq: await firstSeq(file) });
  return found.toSorted((a, b) => a.seq - b.seq).map(({ file }) => file);
}

/** All lines of files, one file after the other. @throws {CommandFailure} USAGE */
export async function* linesOf(
  files: readonly LogFile[],
): AsyncGenerator<LogLine, void, undefined> {
  for (const { name, lines } of files) {
    for await (const batch of lines()) for (const line of batch) yield { file: name, line };
  }
}

/** @returns what comes last where the file has no line that can be read */
async function firstSeq(file: LogFile): Promise<number> {
  for await (const { line } of linesOf([file])) {
    const read = line.isWhole ? readAuditLine(line.bytes) : undefined;
    if (read?.wrong === undefined && read !== undefined) return read.line.seq;
    if (line.number >= FIRST_LINES) break;
  }
  return Number.MAX_SAFE_INTEGER;
}

/** All lines of a file. @throws {CommandFailure} USAGE */
export async function* linesIn(name: string): AsyncGenerator<readonly FileLine[], void, undefined> {
  const splitter = new LineSplitter(MAX_AUDIT_LINE_BYTES);
  let file: FileHandle | undefined;
  try {
    file = await open(name);
    for (let waits = 0; waits <= MAX_WAITS; waits += 1) {
      if (waits > 0) await setTimeout(WAIT_MS);
      for await (const piece of piecesOf(file)) yield splitter.push(piece);
      if (!splitter.isInLine) break;
    }
  } catch (error) {
    throw usageFailure(`${name} cannot be read: ${messageOf(error)}`);
  } finally {
    await file?.close();
  }
  yield splitter.finish();
}

/** Reads from where the file was left to its end. */
export async function* piecesOf(file: FileHandle): AsyncGenerator<Buffer, void, undefined> {
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(PIECE_BYTES));
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}
