import type { SigildError } from '../domain/errors.ts';
import { tooSlow, unavailable } from './audit-failures.ts';
import type { AuditWriterOptions } from './audit-writer-options.ts';
import {
  type ChainEnd,
  type ChainedLines,
  chained,
  endAfter,
  isoClock,
  lineStart,
} from './chain.ts';
import { type LateLine, type LineGroup, newGroup } from './line-group.ts';

/** Far more than requests may be in flight. */
const MAX_WAITING_LINES = 65_536;

/** A disk that takes longer counts as one that cannot be written. */
const WRITE_LIMIT_MS = 5_000;

const RETRY_MS = 1_000;

/**
 * Writes the lines of one log, each behind the one before.
 *
 * 1. Lines that come while others are written go out together in the next write. The first ones wait
 *    for those that come with them: the answers of one frame from a host.
 * 2. A group is written whole or not at all, and only then the chain goes on from it: what fails leaves
 *    no gap.
 * 3. After a failure nothing is taken until a line could be written again, which is tried regularly.
 */
export class AuditWriter {
  readonly #options: AuditWriterOptions;
  readonly #time: () => string;
  #end: ChainEnd;
  #firstSeq: number;
  /** What comes next, */
  #group: LineGroup | undefined;
  /** and what is under way. */
  #writing: LineGroup | undefined;
  #late: LateLine | undefined;
  #running: Promise<void> | undefined;
  #syncing: NodeJS.Timeout | undefined;
  #retrying: NodeJS.Timeout | undefined;
  #failure: SigildError | undefined;
  #isClosed = false;
  #isCareful = false;
  #rotationHasFailed = false;

  constructor(options: AuditWriterOptions) {
    this.#options = options;
    this.#time = isoClock(options.now ?? Date.now);
    this.#end = options.end;
    this.#firstSeq = options.firstSeq;
  }

  get end(): ChainEnd {
    return this.#end;
  }

  /** Why nothing can be written now. */
  get failure(): SigildError | undefined {
    return this.#failure;
  }

  /**
   * @param body of a line, from its kind on
   * @param isCareful whether to look that the file is still in its place
   * @throws {SigildError} AUDIT_UNAVAILABLE
   */
  write(body: string, isCareful = false): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    this.#group ??= newGroup();
    const group = this.#group;
    if (group.bodies.length >= MAX_WAITING_LINES) return Promise.reject(unavailable('it is slow'));
    group.bodies.push(body);
    group.isCareful ||= isCareful;
    this.#start();
    return group.written;
  }

  /**
   * Writes a line that is made of all lines before it, and has the disk keep them. All others wait.
   *
   * @returns the chain's end with it
   * @throws {SigildError} AUDIT_UNAVAILABLE @throws what `make` throws; then nothing is written
   */
  writeLate(make: LateLine['make']): Promise<ChainEnd> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#late) throw new Error('one such line is under way');
    return new Promise((resolve, reject) => {
      this.#late = { make, resolve, reject };
      this.#start();
    });
  }

  /** Writes what waits, takes nothing more, and has the disk keep it all. */
  async close(): Promise<void> {
    await this.#running?.catch(() => undefined);
    this.#isClosed = true;
    this.#failure ??= unavailable('the daemon is stopping');
    clearTimeout(this.#syncing);
    clearTimeout(this.#retrying);
    await this.#options.file.sync();
    await this.#options.file.close();
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#group || this.#late) this.#start();
    });
  }

  async #run(): Promise<void> {
    await endOfTasks();
    while (this.#group || this.#late) {
      const late = this.#late;
      this.#late = undefined;
      if (late) await this.#writeLate(late);
      const group = this.#group;
      this.#group = undefined;
      if (group) await this.#writeGroup(group);
    }
  }

  async #writeGroup(group: LineGroup): Promise<void> {
    this.#writing = group;
    try {
      if (this.#failure) throw this.#failure;
      const { bodies, isCareful } = group;
      await this.#append(() => this.#chained(bodies), isCareful, this.#options.alwaysSync);
      group.resolve();
    } catch (error) {
      group.reject(this.#fail(error));
    }
    this.#writing = undefined;
  }

  async #writeLate({ make, resolve, reject }: LateLine): Promise<void> {
    try {
      if (this.#failure) throw this.#failure;
      const start = lineStart(this.#end, this.#options.boot, this.#time());
      const line = await make(start, this.#end);
      const added = { text: `${line}\n`, end: endAfter(this.#end, line) };
      try {
        await this.#append(() => added, true, true);
      } catch (error) {
        throw this.#fail(error);
      }
      resolve(this.#end);
    } catch (error) {
      reject(error);
    }
  }

  /** @param isCareful whether to look for the file @param mustSync whether the disk has to keep them */
  async #append(make: () => ChainedLines, isCareful: boolean, mustSync: boolean): Promise<void> {
    const { file, maxFileBytes } = this.#options;
    const mustLook = isCareful || this.#isCareful;
    if (!mustLook && !mustSync && file.bytes < maxFileBytes) {
      this.#add(make());
      return;
    }
    const limit = setTimeout(() => this.#fail(tooSlow(WRITE_LIMIT_MS)), WRITE_LIMIT_MS);
    try {
      if (mustLook) await this.#ensureInPlace();
      if (file.bytes >= maxFileBytes) await this.#rotate();
      this.#add(make());
      if (mustSync) await file.sync();
    } finally {
      clearTimeout(limit);
    }
  }

  #add({ text, end }: ChainedLines): void {
    this.#options.file.append(Buffer.from(text));
    this.#end = end;
    if (!this.#options.alwaysSync) this.#syncSoon();
  }

  async #rotate(): Promise<void> {
    const { file, maxFiles, onTransition } = this.#options;
    try {
      await file.rotate(this.#firstSeq);
      this.#firstSeq = this.#end.seq + 1;
      if (maxFiles !== undefined) await file.prune(maxFiles);
      this.#rotationHasFailed = false;
    } catch (error) {
      // The file only gets longer than it should.
      if (!this.#rotationHasFailed) onTransition({ event: 'rotation-failed', error });
      this.#rotationHasFailed = true;
    }
  }

  async #ensureInPlace(): Promise<void> {
    const wasThere = await this.#options.file.ensureInPlace();
    this.#isCareful = false;
    if (wasThere) return;
    this.#firstSeq = this.#end.seq + 1;
    this.#options.onTransition({ event: 'removed', nextSeq: this.#firstSeq });
  }

  /** At most one is waited for or under way. */
  #syncSoon(): void {
    this.#syncing ??= setTimeout(() => {
      this.#syncing = undefined;
      this.#isCareful = true;
      if (this.#isClosed) return;
      this.#options.file.sync().catch((error: unknown) => this.#fail(error));
    }, this.#options.syncIntervalMs);
  }

  /** @returns what callers are told */
  #fail(error: unknown): SigildError {
    if (this.#failure) return this.#failure;
    this.#failure = unavailable('it cannot be written now', error);
    // Those that wait for a disk that does not answer hear of it now.
    for (const waiting of [this.#writing, this.#group, this.#late]) waiting?.reject(this.#failure);
    this.#group = undefined;
    this.#late = undefined;
    this.#options.onTransition({ event: 'failed', error });
    this.#retrySoon();
    return this.#failure;
  }

  #retrySoon(): void {
    if (this.#isClosed) return;
    this.#retrying = setTimeout(() => this.#retry(), RETRY_MS);
  }

  /** Takes lines again when one could be written that says that some are missing. */
  async #retry(): Promise<void> {
    await this.#running;
    if (this.#isClosed) return;
    const lines = [this.#options.resumption()];
    try {
      this.#running = this.#append(() => this.#chained(lines), true, true);
      await this.#running;
      this.#failure = undefined;
      this.#options.onTransition({ event: 'resumed' });
    } catch {
      this.#retrySoon();
    } finally {
      this.#running = undefined;
      if (this.#group || this.#late) this.#start();
    }
  }

  #chained(bodies: readonly string[]): ChainedLines {
    return chained(this.#end, bodies, this.#options.boot, this.#time());
  }
}

/** When all promises have settled that can do so by now: still in this turn of the event loop. */
function endOfTasks(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
