import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { chained } from '../../src/audit/chain.ts';
import { tornHash } from '../../src/audit/line-hash.ts';
import { DiskLogFile } from '../../src/audit/log-file.ts';
import { EMPTY_LOG } from '../../src/audit/log-tail.ts';
import { type OpenLog, openLog } from '../../src/audit/open-log.ts';

const BOOT = '6b1f3c52-0f5e-4a6f-9d3a-0c8f3f1f7a11';
const LOG = '0d9c2f6e-64c5-4c0c-8d58-6a8b0c7a3b21';
const TIME = '2026-11-22T20:15:04.512Z';
const START = `"kind":"start","version":"1.0.0","log":"${LOG}","auditKey":"0a0b"`;
const END = '"kind":"end","operation":"Sign","outcome":"OK"';

let folder: string;
let path: string;
let logs: OpenLog[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigild-audit-'));
  path = join(folder, 'audit.log');
  logs = [];
});

afterEach(async () => {
  for (const log of logs) {
    await log.file.close();
    log.unlock();
  }
  rmSync(folder, { recursive: true });
});

async function open(): Promise<OpenLog> {
  const log = await openLog(path);
  logs.push(log);
  return log;
}

/** Writes lines as a daemon would. */
function written(file: string, end = EMPTY_LOG, bodies = [START, END, END]) {
  const lines = chained(end, bodies, BOOT, TIME);
  writeFileSync(file, lines.text);
  return lines.end;
}

describe('a log', () => {
  test('that is new begins, with an id that stays', async () => {
    const first = await open();
    await first.file.close();
    first.unlock();
    logs = [];

    const second = await open();

    expect(first.tail).toEqual({ end: EMPTY_LOG, isTorn: false, lacksLineFeed: false });
    expect(first.firstSeq).toBe(1);
    expect(second.id).toBe(first.id);
  });

  test('goes on where its file ends', async () => {
    const end = written(path);

    const log = await open();

    expect(log.tail).toEqual({ end, isTorn: false, lacksLineFeed: false });
    expect(log.firstSeq).toBe(1);
  });

  test('goes on behind many lines, of which the end alone is read', async () => {
    const end = written(path, EMPTY_LOG, [START, ...Array.from({ length: 1_000 }, () => END)]);

    const log = await open();

    expect(log.tail.end).toEqual(end);
  });

  test('goes on from the newest file that was put aside, where its own is empty', async () => {
    const first = written(`${path}.000000000001`);
    const end = written(`${path}.000000000004`, first, [END]);

    const log = await open();

    expect(log.tail.end).toEqual(end);
    expect(log.firstSeq).toBe(5);
  });

  test('finds its id in its lines, where the file that keeps it is lost', async () => {
    written(path);

    const log = await open();

    expect(log.id).toBe(LOG);
    expect(readFileSync(`${path}.lock`, 'utf8')).toBe(`${LOG}\n`);
  });

  test.each([
    ['lacks its line feed', '{"seq":4,"prev', true],
    ['is no JSON', '\0\0\0\0\n', false],
    ['has been torn twice', '{"seq":4,"prev\n{"se', true],
  ])('counts a last line that %s', async (_, torn, lacksLineFeed) => {
    const { seq, hash } = written(path);
    appendFileSync(path, torn);

    const log = await open();

    const bytes = torn.replace(/\n$/, '');
    const end = { seq: seq + 1, hash: tornHash(hash).update(bytes).digest('hex') };
    expect(log.tail).toEqual({ end, isTorn: true, lacksLineFeed });
  });

  test('goes on from a last line that only lacks its line feed', async () => {
    const end = written(path);
    writeFileSync(path, readFileSync(path).subarray(0, -1));

    const log = await open();

    expect(log.tail).toEqual({ end, isTorn: false, lacksLineFeed: true });
  });

  test('whose only line is torn follows nothing', async () => {
    writeFileSync(path, '{"seq":1');
    writeFileSync(`${path}.lock`, LOG);

    const log = await open();

    expect(log.tail.end).toEqual({
      seq: 1,
      hash: tornHash(EMPTY_LOG.hash).update('{"seq":1').digest('hex'),
    });
    expect(log.firstSeq).toBe(1);
  });
});

describe('what is refused', () => {
  test.each([
    ['a file of another kind', 'some text\nand more of it\nto the end\n'],
    ['a line that is too long', 'x'.repeat(100_000)],
  ])('%s', async (_, text) => {
    writeFileSync(path, text);

    await expect(openLog(path)).rejects.toMatchObject({
      kind: 'configuration',
      message: expect.stringContaining('does not end as an audit log does'),
    });
  });

  test('a log whose id nothing tells', async () => {
    written(path, EMPTY_LOG, [END]);

    await expect(openLog(path)).rejects.toThrow('neither');
  });

  test('a log that is open already', async () => {
    await open();

    await expect(openLog(path)).rejects.toMatchObject({
      kind: 'configuration',
      message: expect.stringContaining('another process writes this audit log'),
    });
  });

  test('a file in a folder that is not there', async () => {
    await expect(openLog(join(folder, 'missing', 'audit.log'))).rejects.toMatchObject({
      kind: 'configuration',
      message: expect.stringContaining('its folder must be there'),
    });
  });

  test('a folder', async () => {
    mkdirSync(path);

    await expect(openLog(path)).rejects.toMatchObject({ kind: 'configuration' });
  });
});

describe('the file', () => {
  test('is put aside whole, and another one begins', async () => {
    const file = DiskLogFile.open(path);
    file.append(Buffer.from('one\n'));

    await file.rotate(7);
    file.append(Buffer.from('two\n'));
    await file.close();

    expect(readFileSync(`${path}.000000000007`, 'utf8')).toBe('one\n');
    expect(readFileSync(path, 'utf8')).toBe('two\n');
  });

  test('is not put aside over another one', async () => {
    const file = DiskLogFile.open(path);
    writeFileSync(`${path}.000000000001`, 'evidence');

    const rotation = file.rotate(1);

    await expect(rotation).rejects.toThrow('is there already');
    file.append(Buffer.from('one\n'));
    await file.close();
    expect(readFileSync(path, 'utf8')).toBe('one\n');
    expect(readFileSync(`${path}.000000000001`, 'utf8')).toBe('evidence');
  });

  test('is begun anew when it was renamed, and refused when another one takes its place', async () => {
    const file = DiskLogFile.open(path);
    renameSync(path, join(folder, 'aside'));

    const wasThere = await file.ensureInPlace();
    renameSync(path, join(folder, 'aside-too'));
    writeFileSync(path, 'another');

    expect(wasThere).toBe(false);
    await expect(file.ensureInPlace()).rejects.toThrow('another file stands in the place');
    rmSync(path);
    expect(await file.ensureInPlace()).toBe(false);
    expect(await file.ensureInPlace()).toBe(true);
    await file.close();
  });

  test('loses the oldest that were put aside, and nothing else', async () => {
    const file = DiskLogFile.open(path);
    const asides = ['000000000001', '000000000005', '000000000009', 'kept', '12'];
    for (const name of asides) writeFileSync(`${path}.${name}`, '');

    await file.prune(1);

    await file.close();
    const left = asides.filter((name) => {
      try {
        readFileSync(`${path}.${name}`);
        return true;
      } catch {
        return false;
      }
    });
    expect(left).toEqual(['000000000009', 'kept', '12']);
  });
});
