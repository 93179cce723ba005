import { close, constants, fdatasync, fstatSync, ftruncateSync, open, writeSync } from 'node:fs';
import { lstat, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { OWN_FILE, OWN_MODE, openOwn } from './open-own.ts';

const SEQ_DIGITS = 12;

const closing = promisify(close);
const opening = promisify(open);
const syncing = promisify(fdatasync);

/** The file that a log is written to. One thing at a time is done with it, beside {@link sync}. */
export interface LogFile {
  readonly bytes: number;
  /** Adds lines, all or none: what a failure has left of them goes before anything else is added. */
  append(lines: Uint8Array): void;
  /** Has the disk keep what was added. */
  sync(): Promise<void>;
  /** Puts the file aside and begins a new one. @param firstSeq of the lines in the old one */
  rotate(firstSeq: number): Promise<void>;
  /** Removes files that were put aside, the oldest first, but for the newest `kept` ones. */
  prune(kept: number): Promise<void>;
  /**
   * Makes sure that what is added can be found: a file that was removed is begun anew.
   *
   * @returns false when it was
   * @throws when another file stands in its place
   */
  ensureInPlace(): Promise<boolean>;
  close(): Promise<void>;
}

/** A log's file on a disk. */
export class DiskLogFile implements LogFile {
  readonly #path: string;
  #fd: number;
  #bytes: number;
  #isTorn = false;
  #syncing: Promise<void> = Promise.resolve();

  private constructor(path: string, fd: number, bytes: number) {
    this.#path = path;
    this.#fd = fd;
    this.#bytes = bytes;
  }

  /** @throws {StartFailure} */
  static open(path: string): DiskLogFile {
    const fd = openOwn(path);
    return new DiskLogFile(path, fd, fstatSync(fd).size);
  }

  get fd(): number {
    return this.#fd;
  }

  get bytes(): number {
    return this.#bytes;
  }

  append(lines: Uint8Array): void {
    if (this.#isTorn) this.#cut();
    try {
      for (let done = 0; done < lines.byteLength; ) {
        // Into memory, which takes a tenth of what it takes to have another thread do so.
        done += writeSync(this.#fd, lines, done);
      }
      this.#bytes += lines.byteLength;
    } catch (error) {
      this.#isTorn = true;
      try {
        this.#cut();
      } catch {
        // Then it is cut off before the next lines.
      }
      throw error;
    }
  }

  sync(): Promise<void> {
    this.#syncing = syncing(this.#fd);
    return this.#syncing;
  }

  async rotate(firstSeq: number): Promise<void> {
    const aside = `${this.#path}.${String(firstSeq).padStart(SEQ_DIGITS, '0')}`;
    if (await isThere(aside)) throw new Error(`${aside} is there already`);
    await this.sync();
    const next = `${this.#path}.next`;
    await rm(next, { force: true });
    const fd = await opening(next, OWN_FILE | constants.O_CREAT | constants.O_EXCL, OWN_MODE);
    try {
      await rename(this.#path, aside);
      await rename(next, this.#path);
    } catch (error) {
      await closing(fd);
      throw error;
    }
    await this.#goOnWith(fd);
  }

  async prune(kept: number): Promise<void> {
    const files = await rotatedFiles(this.#path);
    for (const file of files.slice(0, Math.max(0, files.length - kept))) await rm(file);
  }

  async ensureInPlace(): Promise<boolean> {
    const found = await ifThere(lstat(this.#path));
    if (!found) {
      const flags = OWN_FILE | constants.O_CREAT | constants.O_EXCL;
      await this.#goOnWith(await opening(this.#path, flags, OWN_MODE));
      return false;
    }
    const { dev, ino } = fstatSync(this.#fd);
    if (found.dev === dev && found.ino === ino) return true;
    throw new Error(`another file stands in the place of ${this.#path}: move it away`);
  }

  async close(): Promise<void> {
    await this.#letGo(this.#fd);
  }

  #cut(): void {
    ftruncateSync(this.#fd, this.#bytes);
    this.#isTorn = false;
  }

  async #goOnWith(fd: number): Promise<void> {
    const before = this.#fd;
    this.#fd = fd;
    this.#bytes = 0;
    this.#isTorn = false;
    await this.#letGo(before);
    await syncFolder(dirname(this.#path));
  }

  async #letGo(fd: number): Promise<void> {
    await this.#syncing.catch(() => undefined);
    await closing(fd);
  }
}

/** The files that were put aside of a log, the oldest first. */
export async function rotatedFiles(path: string): Promise<readonly string[]> {
  const start = `${basename(path)}.`;
  const folder = dirname(path);
  const names = await readdir(folder);
  return names
    .filter((name) => name.startsWith(start) && /^[0-9]{12,16}$/.test(name.slice(start.length)))
    .sort((a, b) => Number(a.slice(start.length)) - Number(b.slice(start.length)))
    .map((name) => join(folder, name));
}

async function isThere(path: string): Promise<boolean> {
  return (await ifThere(lstat(path))) !== undefined;
}

async function ifThere<Found>(finding: Promise<Found>): Promise<Found | undefined> {
  try {
    return await finding;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** A file's name is kept by its folder. */
async function syncFolder(folder: string): Promise<void> {
  const fd = await opening(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  await syncing(fd).finally(() => closing(fd));
}
