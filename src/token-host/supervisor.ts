import { setTimeout as sleep } from 'node:timers/promises';
import { StartFailure } from '../service/start-failure.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { Host } from './host.ts';

export interface SupervisorOptions {
  readonly dispatcher: Dispatcher;
  /** How many hosts to keep. */
  readonly hosts: number;
  /**
   * @param expectedSerial of the token that earlier hosts used
   * @param signal aborts when the host is not wanted any more
   * @throws {StartFailure}
   */
  readonly startHost: (expectedSerial: string | undefined, signal: AbortSignal) => Promise<Host>;
  readonly onTransition: (transition: HostTransition) => void;
  /** Told once, when no host is left and none may be started again. */
  readonly onGiveUp: (failure: StartFailure) => void;
}

/** What became of a host, for the log. */
export type HostTransition =
  | { readonly event: 'started'; readonly host: Host }
  | { readonly event: 'lost'; readonly host: Host; readonly reason: Error }
  | { readonly event: 'failed'; readonly failure: StartFailure };

/** A host that was lost sooner counts as one more failure in a row. */
const STABLE_AFTER_MS = 2_000;

/** Without failures a replacement comes at once; with each in a row the wait doubles. */
const FIRST_BACKOFF_MS = 250;
const LONGEST_BACKOFF_MS = 5_000;

/** After these an operator has to act: another try could lock the token or use the wrong one. */
const FINAL_KINDS: ReadonlySet<string> = new Set(['wrong-pin', 'wrong-token']);

const TOKEN_AWAY = 'the token cannot be reached; sigild goes on trying, and its log says why';

interface Running {
  readonly sinceMs: number;
  /** Settles when the host is lost. */
  readonly loss: Promise<void>;
}

/**
 * Keeps the wanted number of hosts: one that is lost is replaced, never repaired.
 *
 * 1. One host starts at a time, so that a wrong PIN is tried once. After a refused PIN, or when
 *    another token has taken the first one's place, no host starts again.
 * 2. While the first replacement of the last host is under way, calls wait for it. When it has
 *    failed they are refused at once, until the token is back.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #stopping = new AbortController();
  /** By host: tells its place that it is lost. */
  readonly #losses = new Map<Host, () => void>();
  #lastStart: Promise<unknown> = Promise.resolve();
  #serial: string | undefined;
  #final: StartFailure | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /**
   * Starts the first host; the others follow.
   *
   * @throws {StartFailure} when the first host does not start
   */
  async start(): Promise<void> {
    const first = await this.#startInTurn();
    void this.#keep(first);
    for (let place = 1; place < this.#options.hosts; place++) void this.#keep(undefined);
  }

  /** To be called when the dispatcher has lost a host. */
  lost(host: Host, reason: Error): void {
    this.#options.onTransition({ event: 'lost', host, reason });
    this.#losses.get(host)?.();
    this.#losses.delete(host);
    this.#giveUpWhenAlone();
  }

  /** Starts no more hosts, and ends one that is starting. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#lastStart;
  }

  /** Fills one place for as long as hosts may be started. */
  async #keep(first: Running | undefined): Promise<void> {
    let running = first;
    let failures = 0;
    while (this.#mayStart()) {
      running ??= await this.#tryStart(failures);
      if (!running) {
        failures += 1;
        continue;
      }
      await running.loss;
      failures = performance.now() - running.sinceMs < STABLE_AFTER_MS ? failures + 1 : 0;
      running = undefined;
    }
  }

  async #tryStart(failures: number): Promise<Running | undefined> {
    try {
      await this.#backOff(failures);
      return await this.#startInTurn();
    } catch (error) {
      if (this.#stopping.signal.aborted) return undefined;
      if (!(error instanceof StartFailure)) throw error;
      this.#options.onTransition({ event: 'failed', failure: error });
      if (this.#losses.size === 0) this.#options.dispatcher.failFast(TOKEN_AWAY);
      this.#giveUpWhenAlone();
      return undefined;
    }
  }

  async #backOff(failures: number): Promise<void> {
    if (failures === 0) return;
    const waitMs = Math.min(FIRST_BACKOFF_MS * 2 ** (failures - 1), LONGEST_BACKOFF_MS);
    await sleep(waitMs, undefined, { signal: this.#stopping.signal });
  }

  #startInTurn(): Promise<Running> {
    const start = this.#lastStart.then(() => this.#start());
    this.#lastStart = start.catch(() => undefined);
    return start;
  }

  async #start(): Promise<Running> {
    if (this.#final) throw this.#final;
    const host = await this.#startHost();
    this.#serial ??= host.serial;
    const loss = new Promise<void>((resolve) => this.#losses.set(host, resolve));
    this.#options.onTransition({ event: 'started', host });
    this.#options.dispatcher.addHost(host);
    return { sinceMs: performance.now(), loss };
  }

  async #startHost(): Promise<Host> {
    try {
      return await this.#options.startHost(this.#serial, this.#stopping.signal);
    } catch (error) {
      if (error instanceof StartFailure && FINAL_KINDS.has(error.kind)) this.#final = error;
      throw error;
    }
  }

  #mayStart(): boolean {
    return !this.#stopping.signal.aborted && this.#final === undefined;
  }

  #giveUpWhenAlone(): void {
    if (!this.#final || this.#losses.size > 0) return;
    this.#options.onGiveUp(this.#final);
  }
}
