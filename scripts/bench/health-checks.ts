import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { HealthReport } from './health-thread.ts';
import type { Resources } from './resources.ts';
import type { MeasuredServer } from './servers.ts';
import { percentile } from './statistics.ts';

/** A check that takes longer has failed. */
const LIMIT_MS = 10_000;

/** Asks a daemon for its health every 50 ms, in a thread of its own. */
export class HealthChecks {
  readonly #thread: Worker;

  constructor({ unix }: MeasuredServer, resources: Resources) {
    const program = new URL('./health-thread.js', import.meta.url);
    this.#thread = new Worker(program, { workerData: { address: unix } });
    // Whoever waits for its next report hears of it.
    this.#thread.on('error', () => undefined);
    resources.add(() => this.#thread.terminate());
  }

  /**
   * @returns what 99 of 100 checks since the last call did not exceed, in milliseconds
   * @throws {Error} when one failed
   */
  async takeP99Ms(): Promise<number> {
    const signal = AbortSignal.timeout(LIMIT_MS);
    const reported = once(this.#thread, 'message', { signal });
    this.#thread.postMessage('report');
    const [{ durationsMs, failures }] = (await reported) as [HealthReport];
    if (failures.length > 0) throw new Error(`health checks failed: ${failures.join(', ')}`);
    return percentile(Float64Array.from(durationsMs).sort(), 0.99);
  }
}
