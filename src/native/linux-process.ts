import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** Who connected to a unix socket, as it was at that moment. */
export interface PeerCredentials {
  readonly pid: number;
  /** The effective ones. */
  readonly uid: number;
  readonly gid: number;
  /** The supplementary groups. */
  readonly groups: readonly number[];
}

/** What native/process.c exports. */
interface ProcessFunctions {
  /** @throws {Error} for what is no unix socket */
  peerOf(fd: number): PeerCredentials;
  /** @throws {Error} */
  forbidCoreDumps(): void;
}

/** As far from src/ as from dist/. */
const ADDON = '../../native/build/process.node';

/** Bits of memory that a dump holds: proc(5). The children of this process inherit it. */
const COREDUMP_FILTER = '/proc/self/coredump_filter';

/** Undefined where it could not be built. */
export const processFunctions: ProcessFunctions | undefined = load();

function load(): ProcessFunctions | undefined {
  try {
    return createRequire(import.meta.url)(ADDON) as ProcessFunctions;
  } catch {
    return undefined;
  }
}

/**
 * Keeps what this process knows from ever being written to a core dump, and its memory from other
 * processes of its user. A dump that is made all the same holds no memory.
 *
 * Its children inherit the limit and what dumps hold, and have to close their own memory themselves.
 */
export function forbidCoreDumps(): void {
  try {
    writeFileSync(COREDUMP_FILTER, '0');
  } catch {
    // Kernels without it, and sandboxes, leave the limit.
  }
  try {
    processFunctions?.forbidCoreDumps();
  } catch {
    // A sandbox may forbid it; the unit's LimitCORE= is there too.
  }
}
