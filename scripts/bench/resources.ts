import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** Ends something that was started; doing so twice does no harm. */
export type Release = () => unknown;

const RELEASE_LIMIT_MS = 20_000;

/** What a scenario has started: processes, connections, folders. */
export class Resources {
  readonly #releases: Release[] = [];

  add(release: Release): void {
    this.#releases.push(release);
  }

  /** Makes a folder that goes with everything in it. */
  temporaryFolder(): string {
    const folder = mkdtempSync(join(tmpdir(), 'sigild-bench-'));
    this.add(() => rmSync(folder, { recursive: true }));
    return folder;
  }

  /** Ends everything, the youngest first, each within 20 s. What cannot be ended is told of. */
  async release(): Promise<void> {
    for (const release of this.#releases.splice(0).reverse()) {
      try {
        await withLimit(release);
      } catch (error) {
        console.error('something that the benchmark started could not be ended:', error);
      }
    }
  }
}

async function withLimit(release: Release): Promise<void> {
  const limit = new AbortController();
  const tooLate = pause(RELEASE_LIMIT_MS, undefined, { signal: limit.signal }).then(() => {
    throw new Error(`it did not end within ${RELEASE_LIMIT_MS} ms`);
  });
  tooLate.catch(() => undefined);
  try {
    await Promise.race([release(), tooLate]);
  } finally {
    limit.abort();
  }
}
