import { untilAborted, withLimit } from '../service/deadline.ts';
import type { Health } from './health.ts';

export interface HealthMonitorOptions {
  readonly health: Pick<Health, 'setServing'>;
  /** Does the real thing; rejects when it cannot. */
  readonly probe: (signal: AbortSignal) => Promise<void>;
  /** From the end of a probe to the start of the next. */
  readonly intervalMs: number;
  /** A probe that takes longer has failed. */
  readonly timeoutMs: number;
  /** Told of the first result and of every change; `error` says why it does not serve. */
  readonly onTransition: (serving: boolean, error: unknown) => void;
}

/** Keeps the server's health what the latest probe found. Probes never overlap. */
export class HealthMonitor {
  readonly #options: HealthMonitorOptions;
  #serving: boolean | undefined;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: HealthMonitorOptions) {
    this.#options = options;
  }

  /** What the latest probe found; false before the first one. */
  get serving(): boolean {
    return this.#serving === true;
  }

  /**
   * Probes now and then at the interval; to be called once.
   *
   * @returns when the first result is known, good or bad
   */
  async start(): Promise<void> {
    if (!this.#stopped) await this.#probe();
  }

  /** NOT_SERVING from now on, whatever a probe that still runs finds. */
  stop(): void {
    this.#stopped = true;
    this.#serving = false;
    clearTimeout(this.#timer);
    this.#options.health.setServing(false);
  }

  async #probe(): Promise<void> {
    const { probe, timeoutMs } = this.#options;
    let running = Promise.resolve();
    try {
      await withLimit(timeoutMs, 'the health probe', (signal) => {
        running = probe(signal);
        return untilAborted(running, signal);
      });
      this.#set(true, undefined);
    } catch (error) {
      this.#set(false, error);
    }
    const next = () => this.#schedule();
    // A probe that does not mind its signal has failed, but the next one waits for its end.
    running.then(next, next);
  }

  #set(serving: boolean, error: unknown): void {
    if (this.#stopped || serving === this.#serving) return;
    this.#serving = serving;
    this.#options.health.setServing(serving);
    this.#options.onTransition(serving, error);
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#probe(), this.#options.intervalMs);
  }
}
