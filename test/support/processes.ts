import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';

/** A process and all that descend from it. */
export function processTree(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(processTree)];
}

function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((candidate) => parentOf(candidate) === pid);
}

/** Sends a signal to processes, of which any may have ended since they were looked up. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      const hasEnded = error instanceof Error && 'code' in error && error.code === 'ESRCH';
      if (!hasEnded) throw error;
    }
  }
}

/** @returns undefined when there is no such process */
function parentOf(pid: number): number | undefined {
  try {
    const [, parent] = /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return parent === undefined ? undefined : Number(parent);
  } catch {
    return undefined;
  }
}

/** The processes whose working directory is a folder. */
export function processesIn(folder: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => workingDirectory(pid) === folder);
}

/** @returns undefined when there is no such process, or it is not ours to look at */
function workingDirectory(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined;
  }
}

/** What a process's descriptors stand for, such as `socket:[4711]`. */
export function openFiles(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return asRoot(() => readdirSync(folder)).flatMap((fd) => {
    try {
      return [readlinkSync(`${folder}/${fd}`)];
    } catch {
      // It was closed meanwhile.
      return [];
    }
  });
}

/** How much memory a process has in use; 0 when it has ended. */
export function residentMiB(pid: number): number {
  try {
    const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(kib ?? 0) / 1_024;
  } catch {
    return 0;
  }
}

/** Files of which any part is mapped into a process's memory. */
export function mappedFiles(pid: number): string[] {
  return memoryMap(pid).map(({ file }) => file);
}

/** Whether bytes stand anywhere in the memory that a process may write to. */
export function memoryHolds(pid: number, bytes: Buffer): boolean {
  const memory = asRoot(() => openSync(`/proc/${pid}/mem`, 'r'));
  try {
    return memoryMap(pid)
      .filter(({ permissions }) => permissions.startsWith('rw'))
      .some(({ start, end }) => readRange(memory, start, end).includes(bytes));
  } finally {
    closeSync(memory);
  }
}

interface Mapping {
  readonly start: number;
  readonly end: number;
  readonly permissions: string;
  readonly file: string;
}

function memoryMap(pid: number): Mapping[] {
  const lines = asRoot(() => readFileSync(`/proc/${pid}/maps`, 'utf8'))
    .trim()
    .split('\n');
  return lines.map((line) => {
    const [range = '', permissions = '', , , , file = ''] = line.split(/\s+/);
    const [start = 0, end = 0] = range.split('-').map((address) => Number.parseInt(address, 16));
    return { start, end, permissions, file };
  });
}

/** @returns as much as can be read; a process that runs may give memory back meanwhile */
function readRange(memory: number, start: number, end: number): Buffer {
  const bytes = Buffer.alloc(end - start);
  try {
    const read = readSync(memory, bytes, 0, bytes.byteLength, start);
    return bytes.subarray(0, read);
  } catch {
    return Buffer.alloc(0);
  }
}

/** The daemon lets no other process of its user look at it. */
function asRoot<Result>(look: () => Result): Result {
  try {
    return look();
  } catch (error) {
    const isDenied = error instanceof Error && 'code' in error && error.code === 'EACCES';
    if (!isDenied || process.getuid?.() === 0) throw error;
    throw new Error('only root may look into the daemon: run this test as root', { cause: error });
  }
}
