import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { timeOf } from '../../src/admin/audit-filter.ts';
import { query, tail } from '../../src/admin/audit-reading.ts';
import { verifyChain } from '../../src/admin/audit-verify-action.ts';
import { LogMaker } from '../support/audit-log.ts';

let folder = '';
let maker: LogMaker;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigild-audit-'));
  maker = new LogMaker()
    .start()
    .end({ latencyUs: 812 })
    .end({ client: 'bank', operation: 'Verify', version: 2, valid: false })
    .end({ key: 'invoices', outcome: 'PERMISSION_DENIED' })
    .stop();
});

afterEach(() => rmSync(folder, { recursive: true }));

function file(name: string, bytes: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** A reader of stdout, which stops when it has so many lines. */
function reader(maxLines = Number.POSITIVE_INFINITY) {
  let text = '';
  const lines = () => text.split('\n').slice(0, -1);
  return {
    lines,
    streams: {
      stdout: {
        write: (piece: string | Uint8Array, done?: (error?: Error) => void) => {
          text += piece.toString();
          done?.(lines().length < maxLines ? undefined : new Error('EPIPE'));
        },
      },
      stderr: { write: () => undefined },
    },
  };
}

describe('audit query', () => {
  async function found(filter: Parameters<typeof query>[1], ...files: readonly string[]) {
    const { lines, streams } = reader();
    await query(files, filter, streams);
    return lines();
  }

  test('prints lines as they stand there, in their order, from files in any order', async () => {
    const newer = file('audit.log', maker.bytes(3));
    const older = file('audit.log.000000000001', maker.bytes(0, 3));

    expect(await found({ output: 'json' }, newer, older)).toEqual(maker.lines);
  });

  test.each([
    ['client', { client: 'bank' }, [4]],
    ['key', { key: 'webhooks' }, [3, 4]],
    ['operation', { operation: 'Sign' }, [3, 5]],
    ['outcome', { outcome: 'PERMISSION_DENIED' }, [5]],
    ['all of these', { client: 'bank', outcome: 'PERMISSION_DENIED' }, []],
    ['since', { since: Date.UTC(2026, 0, 1, 0, 0, 5) }, [6, 7]],
    ['until', { until: Date.UTC(2026, 0, 1, 0, 0, 1) }, [1]],
  ])('finds lines by %s', async (_, filter, seqs) => {
    const lines = await found({ output: 'json', ...filter }, file('audit.log', maker.bytes()));

    expect(lines.map((line) => JSON.parse(line).seq)).toEqual(seqs);
  });

  test('prints lines for people', async () => {
    const lines = await found({ output: 'table' }, file('audit.log', maker.bytes()));

    expect(lines.slice(0, 4)).toEqual([
      `2026-01-01T00:00:00.000Z 1 start sigild=0.1.0 log=${maker.log} auditKey=0a1b2c3d`,
      '2026-01-01T00:00:01.000Z 2 seal',
      '2026-01-01T00:00:02.000Z 3 end   Sign OK client=shop key=webhooks request=r-2 latencyUs=812',
      '2026-01-01T00:00:03.000Z 4 end   Verify OK client=bank key=webhooks version=2 request=r-3 valid=false',
    ]);
  });

  test('lets no name steer the terminal, nor pass for several details', async () => {
    const evil = new LogMaker().end({ client: 'x key=y', peer: '\u001b[2J', key: '' });

    const lines = await found({ output: 'table' }, file('audit.log', evil.bytes()));

    expect(lines[0]).toContain('client="x key=y" peer=\ufffd[2J key="" request=');
  });

  test('tells of lines that cannot be read, each once, since they may have been meant', async () => {
    const [first = '', ...others] = maker.lines;
    const name = file('audit.log', [first, 'x'.repeat(100_000), ...others, '{"seq":9'].join('\n'));

    const lines = await found({ output: 'json', client: 'bank' }, name);

    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { unreadable: { file: name, line: 2, why: 'it is torn, or too long' } },
      expect.objectContaining({ seq: 4 }),
      { unreadable: { file: name, line: 9, why: 'it is torn, or too long' } },
    ]);
    expect(await found({ output: 'table', client: 'nobody' }, name)).toContain(
      `${name}:2 is no line: it is torn, or too long`,
    );
  });

  test('prints something of any file', async () => {
    const junk = fc.uint8Array({ minLength: 1, maxLength: 2_000 });

    await fc.assert(
      fc.asyncProperty(junk, fc.constantFrom('table', 'json'), async (bytes, output) => {
        const name = file('audit.log', Buffer.concat([bytes, Buffer.from('\n')]));

        expect((await found({ output }, name)).length).toBeGreaterThan(0);
      }),
      { numRuns: 50 },
    );
  });

  test('ends when nobody reads any more', async () => {
    const many = new LogMaker();
    for (let count = 0; count < 2_000; count += 1) many.end();
    const { lines, streams } = reader(1);

    await query([file('audit.log', many.bytes())], { output: 'json' }, streams);

    expect(lines().length).toBeLessThan(1_000);
  });

  test('refuses a file that is not there', async () => {
    const missing = found({ output: 'json' }, join(folder, 'nothing'));

    await expect(missing).rejects.toMatchObject({ reason: 'USAGE' });
  });
});

describe('audit verify', () => {
  test('reads a file too that the daemon has put aside since the files were named', async () => {
    const oldest = file('audit.log.000000000001', maker.bytes(0, 2));
    const newest = file('audit.log', maker.bytes(6));
    file('audit.log.000000000003', maker.bytes(2, 4));
    file('audit.log.000000000005', maker.bytes(4, 6));

    const { document, exitCode } = await verifyChain([oldest, newest], {});

    expect(document).toMatchObject({ whole: true, lines: 7 });
    expect(exitCode).toBe(0);
  });

  test('leaves out what a daemon keeps beside its log', async () => {
    const lock = file('audit.log.lock', `${maker.log}\n`);

    const { document } = await verifyChain([file('audit.log', maker.bytes()), lock], {});

    expect(document).toMatchObject({ whole: true });
  });

  test('reads no older files than those that are named', async () => {
    file('audit.log.000000000001', maker.bytes(0, 2));

    const { document, note } = await verifyChain([file('audit.log', maker.bytes(2))], {});

    expect(document).toMatchObject({ whole: false, problem: { kind: 'removed', line: 1, seq: 3 } });
    expect(note).toContain('--after');
  });
});

describe('audit tail', () => {
  test('prints the last lines', async () => {
    const { lines, streams } = reader();

    await tail(file('audit.log', maker.bytes()), { output: 'json', lines: 2 }, streams);

    expect(lines()).toEqual(maker.lines.slice(-2));
  });

  test('prints all lines of a short file', async () => {
    const { lines, streams } = reader();

    await tail(file('audit.log', maker.bytes()), { output: 'json', lines: 1_000 }, streams);

    expect(lines()).toEqual(maker.lines);
  });

  test('follows the log through rotation, also of files that it has not seen', async () => {
    const path = file('audit.log', maker.bytes(0, 2));
    const { lines, streams } = reader(7);
    const printed = (count: number) => expect.poll(lines, { timeout: 30_000 }).toHaveLength(count);
    const ended = tail(path, { output: 'json', lines: 1, follow: true }, streams);

    await printed(1);
    const [third = ''] = maker.lines.slice(2);
    appendFileSync(path, third.slice(0, 50));
    appendFileSync(path, `${third.slice(50)}\n`);
    await printed(2);
    appendFileSync(path, maker.bytes(3, 4));
    renameSync(path, `${path}.000000000001`);
    file('audit.log.000000000005', maker.bytes(4, 5));
    const next = file('next', maker.bytes(5));
    renameSync(next, path);
    await printed(6);
    appendFileSync(path, `${JSON.stringify({})}\n`);
    await ended;

    expect(lines().slice(0, 6)).toEqual(maker.lines.slice(1));
    expect(lines()[6]).toContain('"unreadable"');
  });
});

describe('a time', () => {
  test.each([
    ['2026-11-22T20:46:00Z', Date.UTC(2026, 10, 22, 20, 46)],
    ['2026-11-22T20:46:00.5+01:00', Date.UTC(2026, 10, 22, 19, 46, 0, 500)],
  ])('is read: %s', (text, timeMs) => {
    expect(timeOf(text)).toBe(timeMs);
  });

  test('may be told by how long ago it was', () => {
    expect(Math.abs(timeOf('24h') - (Date.now() - 86_400_000))).toBeLessThan(10_000);
  });

  test.each(['', 'yesterday', '2026-11-22', '2026-11-22T20:46:00', '2026-13-22T20:46:00Z'])(
    'is not "%s"',
    (text) => expect(() => timeOf(text)).toThrow('It must be a time'),
  );
});
