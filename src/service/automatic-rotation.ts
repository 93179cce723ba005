import { SigildError } from '../domain/errors.ts';
import type { Key } from '../domain/key.ts';
import { type DueStep, dueStep } from './due-rotation.ts';
import type { KeyCatalog } from './key-catalog.ts';
import type { KeyLifecycle } from './key-lifecycle.ts';
import { Turns } from './turns.ts';

export interface AutomaticRotationOptions {
  readonly catalog: Pick<KeyCatalog, 'rotating'>;
  readonly lifecycle: Pick<KeyLifecycle, 'rotateWhenDue'>;
  /** Nothing is rotated while the daemon does not serve. */
  readonly isServing: () => boolean;
  readonly onRotated: (key: Key) => void;
  /** Told of a key that could not be rotated: the first time, and when the reason has changed. */
  readonly onFailure: (name: string, error: unknown) => void;
}

/** Much less than any period; a look at what is known costs next to nothing. */
const LOOK_INTERVAL_MS = 1_000;

/** Daemons on one token wait differently long, so that mostly one alone makes the next version. */
const MAX_SPREAD_MS = 30_000;
const SPREAD_PER_PERIOD = 1 / 20;

const RETRY_MS = 1_000;
const MAX_RETRY_MS = 300_000;

/** All keys take turns under one name: were thousands due, nobody else would get to the token. */
const TURN = '';

/** A rotation that is under way or waits. */
interface Task {
  failures: number;
  /** Of the failure that was told last. */
  reason: string | undefined;
  /** Undefined while it takes its turn. */
  timer: NodeJS.Timeout | undefined;
}

/**
 * Rotates keys whose newest version is older than their rotation period: once, however many periods
 * have passed. Whether a key is due is looked up on the token again before it is rotated, so what
 * another daemon has done meanwhile is not done again. One key is rotated at a time.
 *
 * What fails is tried again, later each time. It rejects nothing and never ends the daemon.
 */
export class AutomaticRotation {
  readonly #options: AutomaticRotationOptions;
  readonly #tasks = new Map<string, Task>();
  readonly #turns = new Turns();
  readonly #running = new Set<Promise<void>>();
  #looking: NodeJS.Timeout | undefined;

  constructor(options: AutomaticRotationOptions) {
    this.#options = options;
  }

  start(): void {
    this.#looking ??= setInterval(() => this.#look(), LOOK_INTERVAL_MS);
  }

  /** Begins nothing any more. @returns settles when what is under way has ended */
  async stop(): Promise<void> {
    clearInterval(this.#looking);
    this.#looking = undefined;
    for (const { timer } of this.#tasks.values()) clearTimeout(timer);
    await Promise.all(this.#running);
  }

  #look(): void {
    if (!this.#options.isServing()) return;
    const nowMs = Date.now();
    for (const key of this.#options.catalog.rotating()) {
      const step = dueStep(key, nowMs);
      if (step) this.#begin(key, step);
    }
  }

  #begin({ name, settings }: Key, step: DueStep): void {
    if (this.#tasks.has(name)) return;
    // What was left undone can be finished by any number of daemons.
    const spread = step === 'finish' ? 0 : (settings.rotationPeriodMs ?? 0) * SPREAD_PER_PERIOD;
    const spreadMs = Math.min(MAX_SPREAD_MS, spread);
    const task: Task = { failures: 0, reason: undefined, timer: undefined };
    this.#tasks.set(name, task);
    this.#wait(name, task, Math.random() * spreadMs);
  }

  #wait(name: string, task: Task, delayMs: number): void {
    task.timer = setTimeout(() => {
      task.timer = undefined;
      const rotate = () => this.#rotate(name, task);
      const run = this.#turns.take(TURN, rotate).finally(() => this.#running.delete(run));
      this.#running.add(run);
    }, delayMs);
  }

  async #rotate(name: string, task: Task): Promise<void> {
    const { lifecycle, isServing, onRotated } = this.#options;
    try {
      // What is still due then is begun anew when the daemon serves again.
      const mayBegin = this.#looking !== undefined && isServing();
      const rotated = mayBegin ? await lifecycle.rotateWhenDue(name) : undefined;
      this.#tasks.delete(name);
      if (rotated) onRotated(rotated);
    } catch (error) {
      this.#retry(name, task, error);
    }
  }

  #retry(name: string, task: Task, error: unknown): void {
    const reason = error instanceof SigildError ? error.reason : String(error);
    // A key is ambiguous for a moment while two daemons make its next version.
    const isTransient = reason === 'KEY_AMBIGUOUS' && task.failures === 0;
    if (!isTransient && reason !== task.reason) {
      task.reason = reason;
      this.#options.onFailure(name, error);
    }
    task.failures += 1;
    if (this.#looking === undefined) return;
    this.#wait(name, task, Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** Math.min(task.failures - 1, 20)));
  }
}
