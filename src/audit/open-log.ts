import { randomUUID } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  fsyncSync,
  ftruncateSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import { createInterface } from 'node:readline';
import { readAuditLine } from '../domain/audit-line.ts';
import { StartFailure } from '../service/start-failure.ts';
import type { ChainEnd } from './chain.ts';
import { lockFile } from './file-lock.ts';
import { DiskLogFile, rotatedFiles } from './log-file.ts';
import { EMPTY_LOG, type LogTail, readFirstLine, readTail } from './log-tail.ts';
import { openOwn } from './open-own.ts';

/** A log that this process alone writes to from now on. */
export interface OpenLog {
  readonly file: DiskLogFile;
  /** The log's UUID. */
  readonly id: string;
  readonly tail: LogTail;
  /** The number of the file's first line, or of the line that will be. */
  readonly firstSeq: number;
  /** Lets another process write to it. */
  unlock(): void;
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Opens a log, or begins one. Beside its file stands PATH.lock, which holds the log's UUID.
 *
 * @throws {StartFailure} when it cannot be written, another process writes it, or it is no log
 */
export async function openLog(path: string): Promise<OpenLog> {
  const lock = lockFile(`${path}.lock`);
  try {
    const file = DiskLogFile.open(path);
    const before = await endOfNewest(await rotatedFiles(path));
    const tail = readTail(file.fd, before);
    const firstSeq = file.bytes === 0 ? tail.end.seq + 1 : firstSeqOf(file, before);
    const id = await logId(lock, path, tail);
    return { file, id, tail, firstSeq, unlock: () => closeSync(lock) };
  } catch (error) {
    closeSync(lock);
    if (error instanceof StartFailure) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new StartFailure('configuration', `the audit log ${path} cannot be used: ${why}`, error);
  }
}

/** A line that is torn follows the lines before the file. */
function firstSeqOf({ fd }: DiskLogFile, before: ChainEnd): number {
  return readFirstLine(fd)?.seq ?? before.seq + 1;
}

async function endOfNewest(rotated: readonly string[]): Promise<ChainEnd> {
  const newest = rotated.at(-1);
  if (newest === undefined) return EMPTY_LOG;
  const fd = openOwn(newest);
  try {
    return readTail(fd, EMPTY_LOG).end;
  } finally {
    closeSync(fd);
  }
}

async function logId(lock: number, path: string, { end }: LogTail): Promise<string> {
  const kept = readFileSync(lock, 'utf8').trim();
  if (UUID.test(kept)) return kept;
  const id = end.seq === 0 ? randomUUID() : await idInLines(path);
  ftruncateSync(lock);
  writeSync(lock, `${id}\n`);
  fsyncSync(lock);
  return id;
}

/** @returns what the first line says that tells of a start */
async function idInLines(path: string): Promise<string> {
  for (const file of [...(await rotatedFiles(path)), path]) {
    for await (const text of createInterface({ input: createReadStream(file) })) {
      const read = readAuditLine(Buffer.from(text));
      if (read.wrong === undefined && read.line.kind === 'start') return read.line.log;
    }
  }
  throw new Error(
    `neither ${path}.lock nor a line says which log it is: put that file back, or move the log's ` +
      'files aside, and a new log begins',
  );
}
