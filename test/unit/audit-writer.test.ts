import { describe, expect, test } from 'vitest';
import { AuditWriter } from '../../src/audit/audit-writer.ts';
import type { WriterTransition } from '../../src/audit/audit-writer-options.ts';
import { hashOf } from '../../src/audit/line-hash.ts';
import type { LogFile } from '../../src/audit/log-file.ts';
import { EMPTY_LOG } from '../../src/audit/log-tail.ts';
import { readAuditLine, ZERO_HASH } from '../../src/domain/audit-line.ts';

const BOOT = '6b1f3c52-0f5e-4a6f-9d3a-0c8f3f1f7a11';
const LIMIT = { timeout: 20_000, interval: 10 };

/** A file in memory, which fails when a test says so. */
class MemoryFile implements LogFile {
  readonly files: string[] = [''];
  readonly appends: string[] = [];
  readonly calls: string[] = [];
  readonly prunes: number[] = [];
  failure: Error | undefined;
  /** What holds a sync back. */
  gate: Promise<void> | undefined;
  isThere = true;

  get bytes(): number {
    return this.files.at(-1)?.length ?? 0;
  }

  append(lines: Uint8Array): void {
    this.#failIfTold();
    const text = Buffer.from(lines).toString();
    this.appends.push(text);
    this.calls.push('append');
    this.files.push((this.files.pop() ?? '') + text);
  }

  async sync(): Promise<void> {
    await this.gate;
    this.#failIfTold();
    this.calls.push('sync');
  }

  async rotate(firstSeq: number): Promise<void> {
    this.#failIfTold();
    this.calls.push(`rotate ${firstSeq}`);
    this.files.push('');
  }

  async prune(kept: number): Promise<void> {
    this.prunes.push(kept);
  }

  async ensureInPlace(): Promise<boolean> {
    this.#failIfTold();
    if (this.isThere) return true;
    this.isThere = true;
    this.files.push('');
    return false;
  }

  async close(): Promise<void> {
    this.calls.push('close');
  }

  /** The lines of all files. */
  lines(): { readonly seq: number; readonly prev: string; readonly kind: string }[] {
    const texts = this.files.join('').split('\n').slice(0, -1);
    return texts.map((text) => JSON.parse(text));
  }

  #failIfTold(): void {
    if (this.failure) throw this.failure;
  }
}

function subject(options: { alwaysSync?: boolean; maxFileBytes?: number; maxFiles?: number } = {}) {
  const file = new MemoryFile();
  const transitions: WriterTransition[] = [];
  const writer = new AuditWriter({
    ...{ file, end: EMPTY_LOG, firstSeq: 1, boot: BOOT, syncIntervalMs: 20, maxFiles: undefined },
    ...{ alwaysSync: false, maxFileBytes: 1_000_000, ...options },
    onTransition: (transition) => transitions.push(transition),
    resumption: () => body('AuditResumed'),
  });
  return { file, writer, transitions, events: () => transitions.map(({ event }) => event) };
}

function body(operation: string): string {
  return `"kind":"end","operation":"${operation}","outcome":"OK"`;
}

function full(): Error {
  return Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
}

function held() {
  let release!: () => void;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { gate, release };
}

describe('lines', () => {
  test('follow each other, each with the hash of the one before', async () => {
    const { file, writer } = subject();

    await writer.write(body('Sign'));
    await Promise.all([writer.write(body('Verify')), writer.write(body('Sign'))]);

    const texts = file.files.join('').split('\n').slice(0, -1);
    const wrong = texts.map((text) => readAuditLine(Buffer.from(text)).wrong);
    expect(wrong).toEqual([undefined, undefined, undefined]);
    expect(file.lines().map(({ seq, prev }) => [seq, prev])).toEqual([
      [1, ZERO_HASH],
      [2, hashOf(texts[0] ?? '')],
      [3, hashOf(texts[1] ?? '')],
    ]);
    expect(writer.end).toEqual({ seq: 3, hash: hashOf(texts[2] ?? '') });
  });

  test('that come together, or while others are written, go out together', async () => {
    const { file, writer } = subject({ alwaysSync: true });
    const { gate, release } = held();
    file.gate = gate;

    const first = [writer.write(body('Sign')), writer.write(body('Sign'))];
    await new Promise((resolve) => setImmediate(resolve));
    const others = Array.from({ length: 5 }, () => writer.write(body('Verify')));
    release();
    await Promise.all([...first, ...others]);

    expect(file.appends.map((text) => text.split('\n').length - 1)).toEqual([2, 5]);
  });

  test('are with the disk when they count as written, where it has to be so always', async () => {
    const { file, writer } = subject({ alwaysSync: true });

    await writer.write(body('Sign'));

    expect(file.calls).toEqual(['append', 'sync']);
  });

  test('are with the disk after the interval else', async () => {
    const { file, writer } = subject();

    await writer.write(body('Sign'));
    const atOnce = [...file.calls];

    expect(atOnce).toEqual(['append']);
    await expect.poll(() => file.calls, LIMIT).toEqual(['append', 'sync']);
  });
});

describe('a line that is made of all before it', () => {
  test('holds back those that come meanwhile', async () => {
    const { file, writer } = subject();
    const { gate, release } = held();
    await writer.write(body('Sign'));

    const late = writer.writeLate(async (start) => {
      await gate;
      return `${start}"kind":"stop"}`;
    });
    await new Promise((resolve) => setImmediate(resolve));
    const after = writer.write(body('Verify'));
    release();
    const [end] = await Promise.all([late, after]);

    expect(file.lines().map(({ kind }) => kind)).toEqual(['end', 'stop', 'end']);
    expect(end.seq).toBe(2);
    expect(file.calls).toEqual(['append', 'append', 'sync', 'append']);
  });

  test('that cannot be made leaves nothing, and those behind it are written', async () => {
    const { file, writer, transitions } = subject();

    const late = writer.writeLate(async () => {
      throw new Error('the token is away');
    });
    const after = writer.write(body('Sign'));

    await expect(late).rejects.toThrow('the token is away');
    await after;
    expect(file.lines().map(({ seq }) => seq)).toEqual([1]);
    expect(transitions).toEqual([]);
  });
});

describe('a log that cannot be written', () => {
  test('refuses lines until one could be written that says so, without a gap', async () => {
    const { file, writer, events } = subject();
    await writer.write(body('Sign'));
    file.failure = full();

    const failed = writer.write(body('Lost'));
    await expect(failed).rejects.toMatchObject({ reason: 'AUDIT_UNAVAILABLE' });
    await expect(writer.write(body('Lost'))).rejects.toMatchObject({ reason: 'AUDIT_UNAVAILABLE' });
    expect(writer.failure?.cause).toBe(file.failure);
    file.failure = undefined;
    await expect.poll(() => writer.failure, LIMIT).toBeUndefined();
    await writer.write(body('Sign'));

    expect(events()).toEqual(['failed', 'resumed']);
    expect(file.appends.join('')).not.toContain('Lost');
    expect(file.appends.join('')).toContain('AuditResumed');
    expect(file.lines().map(({ seq }) => seq)).toEqual([1, 2, 3]);
  });

  test('is one whose disk fails to keep what was written', async () => {
    const { file, writer, events } = subject();
    await writer.write(body('Sign'));

    file.failure = full();
    await expect.poll(events, LIMIT).toEqual(['failed']);
    file.failure = undefined;

    await expect.poll(events, LIMIT).toEqual(['failed', 'resumed']);
  });

  test('refuses, too, what waits for a disk that does not answer', async () => {
    const { file, writer } = subject({ alwaysSync: true });
    const { gate, release } = held();
    file.gate = gate;

    const begun = writer.write(body('Sign'));
    begun.catch(() => undefined);
    await new Promise((resolve) => setImmediate(resolve));
    const waiting = writer.write(body('Sign'));

    await expect(waiting).rejects.toMatchObject({ reason: 'AUDIT_UNAVAILABLE' });
    await expect(begun).rejects.toMatchObject({ reason: 'AUDIT_UNAVAILABLE' });
    release();
    await expect.poll(() => writer.failure, LIMIT).toBeUndefined();
    // The disk has taken the first one in the end.
    expect(file.lines().map(({ seq }) => seq)).toEqual([1, 2]);
  });

  test('takes nothing when it is closed', async () => {
    const { file, writer } = subject();
    const written = writer.write(body('Sign'));

    await writer.close();

    await written;
    await expect(writer.write(body('Sign'))).rejects.toMatchObject({ reason: 'AUDIT_UNAVAILABLE' });
    expect(file.calls.slice(-2)).toEqual(['sync', 'close']);
  });
});

describe('the file', () => {
  test('is put aside when it is full, by the number of its first line', async () => {
    const { file, writer } = subject({ maxFileBytes: 500, maxFiles: 3 });

    for (let line = 0; line < 7; line += 1) await writer.write(body('Sign'));

    const firsts = file.files.map((text) => JSON.parse(text.split('\n')[0] ?? '').seq);
    const asides = file.calls.filter((call) => call.startsWith('rotate'));
    expect(firsts.length).toBeGreaterThan(2);
    expect(asides).toEqual(firsts.slice(0, -1).map((seq) => `rotate ${seq}`));
    expect(file.prunes).toEqual(asides.map(() => 3));
    expect(file.lines().map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test('that cannot be put aside goes on, which is told once', async () => {
    const { file, writer, events } = subject({ maxFileBytes: 1 });
    await writer.write(body('Sign'));
    file.rotate = () => Promise.reject(new Error('it is there already'));

    await writer.write(body('Sign'));
    await writer.write(body('Sign'));

    expect(events()).toEqual(['rotation-failed']);
    expect(file.lines().map(({ seq }) => seq)).toEqual([1, 2, 3]);
  });

  test('that was removed is begun anew before a change is begun', async () => {
    const { file, writer, transitions } = subject();
    await writer.write(body('Sign'));
    file.isThere = false;

    await writer.write(body('CreateKey'), true);

    expect(transitions).toEqual([{ event: 'removed', nextSeq: 2 }]);
    expect(file.files.map((text) => text.split('\n').length - 1)).toEqual([1, 1]);
    expect(file.lines().map(({ seq }) => seq)).toEqual([1, 2]);
  });
});
