import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AuditTransition, FileAuditLog } from '../../src/audit/file-audit-log.ts';
import { hashOf } from '../../src/audit/line-hash.ts';
import type { AuditedEnd } from '../../src/domain/audit-event.ts';
import { type AuditHead, sealText, unsealedPart } from '../../src/domain/audit-seal.ts';
import { SigildError } from '../../src/domain/errors.ts';
import type { AuditToken } from '../../src/service/ports.ts';
import { auditLines, breaksIn } from '../support/audit-lines.ts';

const KEY_ID = '0a0b';
const LIMIT = { timeout: 20_000, interval: 20 };
const SIGN: AuditedEnd = { request: 'r-1', client: 'shop', operation: 'Sign', outcome: 'OK' };

class MemoryToken implements AuditToken {
  readonly heads = new Map<string, AuditHead>();
  failure: SigildError | undefined;
  keepsHeads = true;

  async auditKey(): Promise<string> {
    this.#failIfTold();
    return KEY_ID;
  }

  async auditMac(keyId: string, text: Uint8Array): Promise<Uint8Array> {
    this.#failIfTold();
    return createHmac('sha256', keyId).update(text).digest();
  }

  async findAuditHead(log: string): Promise<AuditHead | undefined> {
    return this.heads.get(log);
  }

  async keepAuditHead(log: string, head: AuditHead): Promise<void> {
    if (!this.keepsHeads) throw new SigildError('TOKEN_REFUSED', 'it keeps no data objects');
    this.heads.set(log, head);
  }

  #failIfTold(): void {
    if (this.failure) throw this.failure;
  }
}

let folder: string;
let file: string;
let token: MemoryToken;
let transitions: AuditTransition[];
let logs: FileAuditLog[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigild-audit-'));
  file = join(folder, 'audit.log');
  token = new MemoryToken();
  transitions = [];
  logs = [];
});

afterEach(async () => {
  for (const log of logs) await log.close().catch(() => undefined);
  rmSync(folder, { recursive: true });
});

async function open(options: Partial<Parameters<typeof FileAuditLog.open>[0]> = {}) {
  const log = await FileAuditLog.open({
    ...{ file, fsync: 'interval', fsyncIntervalMs: 20, sealIntervalMs: 3_600_000 },
    ...{ maxFileBytes: 1_000_000, maxFiles: undefined, signing: 'besteffort', dataDigest: false },
    ...{ version: '1.2.3', onTransition: (transition) => transitions.push(transition) },
    ...options,
  });
  logs.push(log);
  return log;
}

function events(): string[] {
  return transitions.map(({ event }) => event);
}

describe('seals', () => {
  test('follow the start, lines at an interval, and the stop', async () => {
    const log = await open({ sealIntervalMs: 100 });
    await log.start(token);
    await log.end(SIGN, 'use');
    await expect.poll(() => auditLines(file).length, LIMIT).toBe(4);
    await log.stop();
    logs = [];

    const lines = auditLines(file);
    expect(lines.map(({ kind }) => kind)).toEqual(['start', 'seal', 'end', 'seal', 'stop', 'seal']);
    expect(lines[0]).toMatchObject({ version: '1.2.3', auditKey: KEY_ID });
    for (const line of lines.filter(({ kind }) => kind === 'seal')) {
      const text = sealText(unsealedPart(JSON.stringify(line)));
      expect(line).toMatchObject({ mac: createHmac('sha256', KEY_ID).update(text).digest('hex') });
    }
    const last = readFileSync(file, 'utf8').trim().split('\n').at(-1) ?? '';
    expect([...token.heads.values()]).toEqual([{ seq: 6, hash: hashOf(last) }]);
  });

  test('that fail are told once and tried again, and keep nothing from being written', async () => {
    const log = await open({ sealIntervalMs: 100 });
    await log.start(token);
    token.failure = new SigildError('TOKEN_UNAVAILABLE', 'it is away');
    await log.end(SIGN, 'use');
    await expect.poll(events, LIMIT).toEqual(['unsealed']);

    await log.end(SIGN, 'use');
    token.failure = undefined;

    await expect.poll(events, LIMIT).toEqual(['unsealed', 'sealed']);
    expect(auditLines(file).map(({ kind }) => kind)).toEqual([
      ...['start', 'seal', 'end', 'end', 'seal'],
    ]);
  });

  test('do without a record where the token keeps none, which is told once', async () => {
    token.keepsHeads = false;
    const log = await open();
    await log.start(token);

    await log.stop();

    logs = [];
    expect(events()).toEqual(['no-head']);
    expect(auditLines(file).map(({ kind }) => kind)).toEqual(['start', 'seal', 'stop', 'seal']);
  });
});

describe('a start', () => {
  test('without an audit key fails', async () => {
    token.failure = new SigildError('TOKEN_REFUSED', 'it makes none');
    const log = await open();

    await expect(log.start(token)).rejects.toMatchObject({
      kind: 'unavailable',
      message: 'the audit log cannot begin: it makes none',
    });
  });

  test.each([
    ['was cut', (text: string) => `${text.split('\n').slice(0, 2).join('\n')}\n`],
    [
      'has another last line',
      (text: string) =>
        text.replace(/"mac":"(.)/g, (_, digit) => `"mac":"${digit === 'f' ? 0 : 'f'}`),
    ],
    ['was removed', () => ''],
  ])('of a log that %s fails', async (_, changed) => {
    const first = await open();
    await first.start(token);
    await first.stop();
    writeFileSync(file, changed(readFileSync(file, 'utf8')));
    logs = [];

    const second = await open();
    const before = readFileSync(file, 'utf8');

    const start = second.start(token);

    await expect(start).rejects.toMatchObject({
      kind: 'configuration',
      message: expect.stringContaining('lines were removed'),
    });
    await second.stop();
    expect(readFileSync(file, 'utf8')).toBe(before);
  });
});

describe('while the log cannot be written', () => {
  /** As a disk that is full: nothing can be written, and the file is in nobody's way. */
  async function broken(signing: 'required' | 'besteffort') {
    const log = await open({ signing });
    await log.start(token);
    renameSync(file, join(folder, 'aside'));
    writeFileSync(file, 'another');
    await expect(log.begin({ request: 'r-0', operation: 'CreateKey' })).rejects.toMatchObject({
      reason: 'AUDIT_UNAVAILABLE',
    });
    return log;
  }

  test('keys may be used, and the log tells later how many lines are missing', async () => {
    const log = await broken('besteffort');

    log.admit('use');
    await log.end(SIGN, 'use');
    await log.end({ ...SIGN, operation: 'GetKey' }, 'read');
    expect(() => log.admit('change')).toThrow('nothing may be done');
    rmSync(file);
    await expect.poll(events, LIMIT).toEqual(['failed', 'removed', 'resumed']);

    expect(transitions.at(-1)).toEqual({ event: 'resumed', lostLines: 2 });
    expect(breaksIn(join(folder, 'aside'), file)).toEqual([]);
    expect(auditLines(file)).toMatchObject([
      { client: 'sigild', operation: 'AuditResumed', outcome: 'AUDIT_UNAVAILABLE', failed: 2 },
    ]);
  });

  test('they may not where the log is required, and reads go on', async () => {
    const log = await broken('required');

    expect(() => log.admit('use')).toThrow('nothing may be done');
    log.admit('read');
    await log.end({ ...SIGN, operation: 'GetKey' }, 'read');

    await expect(log.end(SIGN, 'use')).rejects.toMatchObject({ reason: 'AUDIT_UNAVAILABLE' });
  });
});

test('names that others choose are quoted, and cut where they are too long', async () => {
  const log = await open();
  await log.start(token);
  const client = `spiffe://"quoted"\n\u0001\ud800${'x'.repeat(100_000)}`;

  await log.end({ ...SIGN, client, peer: 'unix:/run/"\\sock' }, 'use');

  const [line] = auditLines(file).slice(-1);
  expect(line).toMatchObject({
    client: `${client.slice(0, 1_024)}`,
    peer: 'unix:/run/"\\sock',
  });
});

test('a digest of several messages tells where one ends', async () => {
  const log = await open({ dataDigest: true });
  await log.start(token);
  const digests = [['ab', 'c'], ['a', 'bc'], ['abc'], ['abc']];

  for (const data of digests) {
    await log.end({ ...SIGN, data: data.map((text) => Buffer.from(text)) }, 'use');
  }

  const [one, other, single, again] = auditLines(file)
    .slice(-4)
    .map((line) => ('dataDigest' in line ? line.dataDigest : undefined));
  expect(new Set([one, other, single]).size).toBe(3);
  expect(single).toMatch(/^[0-9a-f]{64}$/);
  expect(again).toBe(single);
});
