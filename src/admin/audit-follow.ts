import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { MAX_AUDIT_LINE_BYTES } from '../domain/audit-line.ts';
import { type LogLine, piecesOf } from './audit-files.ts';
import { readLogLine } from './audit-line-text.ts';
import { messageOf, usageFailure } from './command-failure.ts';
import { type FileLine, LineSplitter } from './line-splitter.ts';

const POLL_MS = 250;
const MAX_RETRIES = 20;

/** What a full file's name ends in: the number of its first line. */
const ROTATED = /^\.[0-9]{12,16}$/;

/**
 * All lines of a file, then those that are added to it, also when it is renamed and a new one takes its
 * place. It ends only when its reader stops.
 *
 * @returns undefined where there are no more lines for now
 * @throws {CommandFailure} USAGE
 */
export async function* followLines(
  name: string,
): AsyncGenerator<readonly LogLine[] | undefined, never, undefined> {
  let lastSeq: number | undefined;
  for (;;) {
    const next = await nextFile(name, lastSeq);
    for await (const lines of untilReplaced(name, next)) {
      lastSeq = lastSeqOf(lines) ?? lastSeq;
      yield lines;
    }
  }
}

interface OpenFile {
  readonly path: string;
  readonly file: FileHandle;
}

/** The file with the lines that come next: the one of that name, unless one was put aside before it. */
async function nextFile(name: string, lastSeq: number | undefined): Promise<OpenFile> {
  const file = await opened(name, lastSeq === undefined ? 0 : MAX_RETRIES);
  const [oldest] = lastSeq === undefined ? [] : await rotatedAfter(name, lastSeq);
  if (oldest === undefined || !(await hasOther(oldest, file))) return { path: name, file };
  await file.close();
  return { path: oldest, file: await opened(oldest) };
}

function lastSeqOf(lines: readonly LogLine[] = []): number | undefined {
  for (const line of lines.toReversed()) {
    const read = readLogLine(line);
    if (read.wrong === undefined) return read.line.seq;
  }
  return undefined;
}

/** The lines of a file until another one has the name. */
async function* untilReplaced(
  name: string,
  { path, file }: OpenFile,
): AsyncGenerator<readonly LogLine[] | undefined, void, undefined> {
  const splitter = new LineSplitter(MAX_AUDIT_LINE_BYTES);
  const found = (lines: readonly FileLine[]) => lines.map((line) => ({ file: path, line }));
  try {
    for (;;) {
      // Before the lines are read, so that these are all when it is.
      const isReplaced = await hasOther(name, file);
      for await (const piece of piecesOf(file)) yield found(splitter.push(piece));
      if (isReplaced) break;
      yield undefined;
      await setTimeout(POLL_MS);
    }
  } finally {
    await file.close();
  }
  yield found(splitter.finish());
}

/** @param retries how often to look again: between two files the name is that of none */
async function opened(name: string, retries = 0): Promise<FileHandle> {
  try {
    return await open(name);
  } catch (error) {
    if (retries === 0) throw usageFailure(`${name} cannot be read: ${messageOf(error)}`);
  }
  await setTimeout(POLL_MS);
  return opened(name, retries - 1);
}

/** Whether a name is that of another file by now; not while it is that of none. */
async function hasOther(name: string, file: FileHandle): Promise<boolean> {
  const [there, here] = await Promise.all([stat(name).catch(() => undefined), file.stat()]);
  return there !== undefined && (there.ino !== here.ino || there.dev !== here.dev);
}

/** Files that were filled and renamed since the last look. */
async function rotatedAfter(name: string, seq: number): Promise<string[]> {
  const names = await readdir(dirname(name));
  const found = names.filter((other) => other.startsWith(basename(name)));
  return found
    .map((other) => other.slice(basename(name).length))
    .filter((end) => ROTATED.test(end) && Number(end.slice(1)) > seq)
    .toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1)))
    .map((end) => name + end);
}
