import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { until } from '../../test/support/wait.ts';

const PRELOAD = pathToFileURL(join(import.meta.dirname, 'event-loop-preload.js'));

/** Measures how late a front's event loop is, from within. */
export class EventLoopDelay {
  /** What the front has to be started with. */
  readonly environment: NodeJS.ProcessEnv;
  readonly #file: string;

  /** @param folder where it may put a file of its own */
  constructor(folder: string) {
    this.#file = join(folder, 'event-loop-delay');
    this.environment = {
      NODE_OPTIONS: `--import=${PRELOAD}`,
      SIGILD_BENCH_DELAY_FILE: this.#file,
    };
  }

  /** @returns what 99 of 100 delays since the last call did not exceed, in milliseconds */
  async takeP99Ms(pid: number): Promise<number> {
    rmSync(this.#file, { force: true });
    process.kill(pid, 'SIGUSR2');
    await until(() => existsSync(this.#file));
    return JSON.parse(readFileSync(this.#file, 'utf8')).p99Ms;
  }
}
