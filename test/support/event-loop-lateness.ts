import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { until } from './wait.ts';

const PROBE = pathToFileURL(join(import.meta.dirname, 'event-loop-probe.js'));

/** How late an event loop has turned. */
export interface Lateness {
  /** What 99 of 100 turns did not exceed, for whatever reason: also for want of a processor. */
  readonly lateP99Ms: number;
  /** Of the turn that was kept up by the process's own work for longest. */
  readonly busyMs: number;
}

/** Measures from within how late the event loop of a process is. */
export class LatenessProbe {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sigild-lateness-'));
  readonly #file = join(this.#folder, 'worst');

  /** What the process has to be started with. */
  get environment(): NodeJS.ProcessEnv {
    return { NODE_OPTIONS: `--import=${PROBE}`, SIGILD_TEST_LATENESS_FILE: this.#file };
  }

  /** @returns what it was since the last call */
  async take(pid: number): Promise<Lateness> {
    rmSync(this.#file, { force: true });
    process.kill(pid, 'SIGUSR2');
    await until(() => existsSync(this.#file));
    return JSON.parse(readFileSync(this.#file, 'utf8'));
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}

/** A process that does nothing: as late as its event loop is on this machine, any is. */
export class IdleProcess {
  readonly #probe = new LatenessProbe();
  readonly #child: ChildProcess;

  constructor() {
    this.#child = spawn(process.execPath, ['--eval', 'setInterval(() => undefined, 60_000)'], {
      env: { ...process.env, ...this.#probe.environment },
      stdio: 'ignore',
    });
  }

  take(): Promise<Lateness> {
    return this.#probe.take(this.#child.pid as number);
  }

  async end(): Promise<void> {
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
    this.#probe.remove();
  }
}
