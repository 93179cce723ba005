import { setTimeout as sleep } from 'node:timers/promises';
import { StartFailure } from '../service/start-failure.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { Host } from './host.ts';
import type { CanaryProof } from './host-messages.ts';
import type { LaneHost } from './lane-pool.ts';

/** What the supervisor needs of a token host. */
export interface SupervisedHost extends LaneHost {
  /** The serial number of the token that it uses. */
  readonly serial: string;
  readonly canary: CanaryProof;
}

export interface SupervisorOptions<AnyHost extends SupervisedHost> {
  readonly dispatcher: Pick<Dispatcher<AnyHost>, 'addHost' | 'failFast'>;
  /** How many hosts to keep. */
  readonly hosts: number;
  /**
   * @param expectedSerial of the token that earlier hosts used
   * @param signal aborts when the host is not wanted any more
   * @param spare whether it is one of {@link Supervisor.startSpare}
   * @throws {StartFailure}
   */
  readonly startHost: (
    expectedSerial: string | undefined,
    signal: AbortSignal,
    spare: boolean,
  ) => Promise<AnyHost>;
  readonly onTransition: (transition: HostTransition<AnyHost>) => void;
  /** Told once, when no host is left and none may be started again. */
  readonly onGiveUp: (failure: StartFailure) => void;
  /** Rejects when the signal aborts; a timer unless another one is given. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** What became of a host, for the log. */
export type HostTransition<AnyHost = Host> =
  | { readonly event: 'started'; readonly host: AnyHost }
  | { readonly event: 'lost'; readonly host: AnyHost; readonly reason: Error }
  | { readonly event: 'failed'; readonly failure: StartFailure };

/** A host that was lost sooner counts as one more failure in a row. */
const STABLE_AFTER_MS = 2_000;

/** Without failures a replacement comes at once; with each in a row the wait doubles. */
const FIRST_BACKOFF_MS = 250;
const LONGEST_BACKOFF_MS = 5_000;

/** After these an operator has to act: another try could lock the token or use the wrong one. */
const FINAL_KINDS: ReadonlySet<string> = new Set(['wrong-pin', 'wrong-token']);

const NO_MORE_HOSTS = 'the token cannot be reached until an operator acts; the log says why';
const ANOTHER_MAC =
  'the canary key on the token makes another MAC than before: the token or its library is broken; ' +
  'if it was so when sigild started, restart sigild';
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
 * 2. A host whose canary key makes another MAC than that of earlier hosts does not serve: it would
 *    find other fingerprints for keys that were used before, and wrong MACs of all others.
 * 3. While the first replacement of the last host is under way, calls wait for it. When it has
 *    failed they are refused at once, until the token is back.
 */
export class Supervisor<AnyHost extends SupervisedHost = Host> {
  readonly #options: SupervisorOptions<AnyHost>;
  readonly #stopping = new AbortController();
  /** By host: tells its place that it is lost. */
  readonly #losses = new Map<AnyHost, () => void>();
  #lastStart: Promise<unknown> = Promise.resolve();
  #serial: string | undefined;
  /** As the latest host found it. */
  #canary: CanaryProof | undefined;
  #final: StartFailure | undefined;
  #gaveUp = false;

  constructor(options: SupervisorOptions<AnyHost>) {
    this.#options = options;
  }

  /**
   * Starts the first host; the others follow.
   *
   * @param onFirst told when the first one serves, before the others are in line
   * @throws {StartFailure} when the first host does not start
   */
  async start(onFirst: () => void = () => undefined): Promise<void> {
    const first = await this.#startInTurn();
    onFirst();
    void this.#keep(first);
    for (let place = 1; place < this.#options.hosts; place++) void this.#keep(undefined);
  }

  /**
   * Starts a host that fills no place, in turn with the others and under the same rules. It is the
   * caller's to watch and to stop.
   *
   * @throws {StartFailure}
   */
  async startSpare(): Promise<AnyHost> {
    const start = this.#inTurn(() => this.#startWanted(true));
    const host = await start.finally(() => this.#giveUpWhenAlone());
    if (host) return host;
    throw this.#final ?? new StartFailure('unavailable', 'sigild is stopping');
  }

  /** To be called when the dispatcher has lost a host. */
  lost(host: AnyHost, reason: Error): void {
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
    const { pause = pauseOnTimer } = this.#options;
    await pause(waitMs, this.#stopping.signal);
  }

  #startInTurn(): Promise<Running | undefined> {
    return this.#inTurn(() => this.#start());
  }

  #inTurn<Result>(start: () => Promise<Result>): Promise<Result> {
    const started = this.#lastStart.then(start);
    this.#lastStart = started.catch(() => undefined);
    return started;
  }

  /** @returns undefined when no host may be started any more */
  async #start(): Promise<Running | undefined> {
    const host = await this.#startWanted(false);
    if (!host) return undefined;
    const loss = new Promise<void>((resolve) => this.#losses.set(host, resolve));
    this.#options.onTransition({ event: 'started', host });
    this.#options.dispatcher.addHost(host);
    return { sinceMs: performance.now(), loss };
  }

  /** @returns undefined when no host may be started any more */
  async #startWanted(spare: boolean): Promise<AnyHost | undefined> {
    if (!this.#mayStart()) return undefined;
    const host = await this.#startHost(spare);
    const isBroken = this.#makesAnotherMac(host);
    if (this.#mayStart() && !isBroken) {
      this.#serial ??= host.serial;
      this.#canary = host.canary;
      return host;
    }
    host.kill();
    await host.exited;
    if (isBroken) throw new StartFailure('unavailable', ANOTHER_MAC);
    return undefined;
  }

  /** A canary key that was made anew, after somebody has removed the former one, is another key. */
  #makesAnotherMac({ canary: { id, mac } }: AnyHost): boolean {
    return this.#canary?.id === id && this.#canary.mac !== mac;
  }

  async #startHost(spare: boolean): Promise<AnyHost> {
    try {
      return await this.#options.startHost(this.#serial, this.#stopping.signal, spare);
    } catch (error) {
      const failure = asStartFailure(error);
      if (FINAL_KINDS.has(failure.kind)) this.#final = failure;
      throw failure;
    }
  }

  #mayStart(): boolean {
    return !this.#stopping.signal.aborted && this.#final === undefined;
  }

  #giveUpWhenAlone(): void {
    if (!this.#final || this.#losses.size > 0 || this.#gaveUp) return;
    this.#gaveUp = true;
    this.#options.dispatcher.failFast(NO_MORE_HOSTS);
    this.#options.onGiveUp(this.#final);
  }
}

function pauseOnTimer(ms: number, signal: AbortSignal): Promise<void> {
  return sleep(ms, undefined, { signal });
}

/** Whatever keeps a process from being started, for instance a lack of file descriptors, may pass. */
function asStartFailure(error: unknown): StartFailure {
  if (error instanceof StartFailure) return error;
  const what = error instanceof Error ? error.message : String(error);
  return new StartFailure('unavailable', `the token host did not start: ${what}`, error);
}
