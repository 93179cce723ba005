import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inOrder, type LogFile } from '../../src/admin/audit-files.ts';
import { type LogWitness, type VerifyOptions, verifyLog } from '../../src/admin/audit-verifier.ts';
import { LineSplitter } from '../../src/admin/line-splitter.ts';
import { hashOf, tornHash } from '../../src/audit/line-hash.ts';
import { MAX_AUDIT_LINE_BYTES, readAuditLine, ZERO_HASH } from '../../src/domain/audit-line.ts';
import { fileOf, LogMaker, TEST_KEY_ID, testMac } from '../support/audit-log.ts';

/** Two runs of a daemon: 12 lines, of which seals are 2, 5, 7, 9 and 12. */
function twoRuns(): LogMaker {
  const log = new LogMaker().start().end().end({ operation: 'Verify', valid: false }).seal();
  return log.stop().start().end().stop();
}

/** Three runs of a daemon, of which two ended in a crash with lines that no seal covers. */
function crashedRuns(): LogMaker {
  const log = new LogMaker().start().end().end({ client: 'bank' }).tear('{"seq":5,"pr').start();
  return log.end().tear('{"seq":9,"prev":"00\n\0\n{"se').start().end().stop();
}

/** What a token says that has sealed a log. */
function witnessOf({ log, head }: LogMaker): { readonly witness: LogWitness } {
  return {
    witness: {
      checkSeal: (auditKey, text, mac) => {
        if (auditKey !== undefined && auditKey !== TEST_KEY_ID) return 'no-key';
        return testMac(text) === mac ? 'sealed' : 'other';
      },
      heads: new Map(head ? [[log, head]] : []),
    },
  };
}

function withoutHeads(maker: LogMaker): { readonly witness: LogWitness } {
  return { witness: { ...witnessOf(maker).witness, heads: new Map() } };
}

function file(bytes: Buffer, name = 'audit.log', pieceBytes = 1_000): LogFile {
  return {
    name,
    async *lines() {
      const splitter = new LineSplitter(MAX_AUDIT_LINE_BYTES);
      for (let at = 0; at < bytes.byteLength; at += pieceBytes) {
        yield splitter.push(bytes.subarray(at, at + pieceBytes));
      }
      yield splitter.finish();
    },
  };
}

async function problemOf(maker: LogMaker, bytes: Buffer, options: VerifyOptions = {}) {
  const { problem } = await verifyLog([file(bytes)], { ...witnessOf(maker), ...options });
  return problem;
}

describe('a log as a daemon writes it', () => {
  const maker = twoRuns();

  test('is whole', async () => {
    const report = await verifyLog([file(maker.bytes())], witnessOf(maker));

    expect(report).toEqual({
      problem: undefined,
      log: maker.log,
      lines: 12,
      end: maker.head,
      seals: 5,
      lastSeal: { seq: 12, time: '2026-01-01T00:00:11.000Z' },
      torn: { parts: 0, last: undefined },
      isEndHeld: true,
    });
  });

  test('is whole in any pieces', async () => {
    const pieces = fc.integer({ min: 1, max: 5_000 });

    await fc.assert(
      fc.asyncProperty(pieces, async (pieceBytes) => {
        const files = [file(maker.bytes(), 'audit.log', pieceBytes)];

        const { problem, lines } = await verifyLog(files, witnessOf(maker));

        expect({ problem, lines }).toEqual({ problem: undefined, lines: 12 });
      }),
      { numRuns: 30 },
    );
  });

  test('is whole in several files, named in any order', async () => {
    const [old, older] = [file(maker.bytes(4, 8), 'b'), file(maker.bytes(0, 4), 'c')];
    const files = await inOrder([file(maker.bytes(8), 'a'), older, old]);

    const { problem, isEndHeld } = await verifyLog(files, witnessOf(maker));

    expect(files.map(({ name }) => name)).toEqual(['c', 'b', 'a']);
    expect({ problem, isEndHeld }).toEqual({ problem: undefined, isEndHeld: true });
  });

  test('is whole while its last lines are not sealed yet', async () => {
    const running = twoRuns().start().end().end();

    expect(await problemOf(running, running.bytes())).toBeUndefined();
  });

  test('is whole though a crash has torn a line, which the next start tells of', async () => {
    const crashed = twoRuns().start().end().tear('{"seq":17,"pr').start().end().stop();

    const report = await verifyLog([file(crashed.bytes())], witnessOf(crashed));

    expect(report).toMatchObject({
      problem: undefined,
      torn: { parts: 1, last: { file: 'audit.log', line: 16, seq: 16 } },
    });
  });

  test('is whole though several torn lines stand there, which count as one', async () => {
    const crashed = new LogMaker().start().end().tear('{"seq":4\n\0\0\n{"se').start();

    expect(await problemOf(crashed, crashed.bytes())).toBeUndefined();
  });

  test('is whole though its very first line is torn', async () => {
    const crashed = new LogMaker().tear().start();

    expect(await problemOf(crashed, crashed.bytes())).toBeUndefined();
  });

  test('is whole without its beginning, where that is known', async () => {
    const rest = maker.bytes(5);
    const hash = JSON.parse(maker.lines[5] ?? '').prev;

    expect(await problemOf(maker, rest, { after: { seq: 5, hash } })).toBeUndefined();
    expect(await problemOf(maker, rest, { after: { seq: 5, hash: undefined } })).toBeUndefined();
    expect(await problemOf(maker, rest, { after: { seq: 4, hash } })).toMatchObject({
      kind: 'removed',
    });
    const other = { seq: 5, hash: 'a'.repeat(64) };
    expect(await problemOf(maker, rest, { after: other })).toMatchObject({ kind: 'changed' });
  });

  test('is whole without its end, where it is known to go on', async () => {
    const start = maker.bytes(0, 7);

    expect(await problemOf(maker, start, { isContinued: true })).toBeUndefined();
    expect(await problemOf(maker, start)).toMatchObject({ kind: 'cut', line: 7, seq: 7 });
  });

  test('is held against a line that somebody has kept', async () => {
    const head = maker.head ?? { seq: 0, hash: '' };
    const { seq, hash } = head;

    expect(await problemOf(maker, maker.bytes(), { expected: head })).toBeUndefined();
    const other = { seq: 3, hash };
    expect(await problemOf(maker, maker.bytes(), { expected: other })).toEqual({
      ...{ kind: 'changed', file: 'audit.log', line: 3, seq: 3 },
      message: 'it is not the line that is expected',
    });
    const later = { seq: seq + 1, hash };
    expect(await problemOf(maker, maker.bytes(), { expected: later })).toMatchObject({
      kind: 'cut',
    });
  });

  test('is whole on a token that keeps no heads, but its end is not held against one', async () => {
    const report = await verifyLog([file(maker.bytes())], withoutHeads(maker));

    expect(report).toMatchObject({ problem: undefined, isEndHeld: false });
  });
});

describe.each([
  ['a log', twoRuns()],
  ['a log with torn lines', crashedRuns()],
] as const)('any one change of %s is found', (_, maker) => {
  const whole = maker.bytes();
  const { lines } = maker;
  const index = fc.nat({ max: lines.length - 1 });

  async function findsAny(change: fc.Arbitrary<Buffer>, numRuns = 300) {
    await fc.assert(
      fc.asyncProperty(change, async (bytes) => {
        fc.pre(!bytes.equals(whole));

        expect(await problemOf(maker, bytes)).toBeDefined();
      }),
      { numRuns },
    );
  }

  test('a bit of any byte', async () => {
    for (const [at, byte] of whole.entries()) {
      const changed = Buffer.from(whole).fill(byte ^ (1 << (at % 8)), at, at + 1);

      expect(await problemOf(maker, changed), `byte ${at}`).toBeDefined();
    }
  });

  test('a byte', () =>
    findsAny(
      fc
        .tuple(fc.nat({ max: whole.byteLength - 1 }), fc.integer({ min: 0, max: 255 }))
        .map(([at, byte]) => Buffer.from(whole).fill(byte, at, at + 1)),
    ));

  test('a byte more or less', () =>
    findsAny(
      fc
        .tuple(fc.nat({ max: whole.byteLength }), fc.uint8Array({ maxLength: 3 }), fc.nat(3))
        .map(([at, more, less]) =>
          Buffer.concat([whole.subarray(0, at), more, whole.subarray(at + less)]),
        ),
    ));

  test('removed lines', () =>
    findsAny(
      fc
        .tuple(index, fc.integer({ min: 1, max: lines.length }))
        .map(([at, count]) => fileOf(lines.toSpliced(at, count))),
    ));

  test('inserted lines', () =>
    findsAny(
      fc
        .tuple(
          fc.nat({ max: lines.length }),
          fc.oneof(
            index.map((at) => lines[at] ?? ''),
            fc.string(),
          ),
        )
        .map(([at, line]) => fileOf(lines.toSpliced(at, 0, line))),
    ));

  test('swapped lines', () =>
    findsAny(
      fc.tuple(index, index).map(([one, other]) => {
        const swapped = lines.with(one, lines[other] ?? '').with(other, lines[one] ?? '');
        return fileOf(swapped);
      }),
    ));

  test('a cut tail', () =>
    findsAny(fc.nat({ max: whole.byteLength - 1 }).map((bytes) => whole.subarray(0, bytes))));

  test('a line that was written anew, with all hashes after it', async () => {
    for (const [at, line] of lines.entries()) {
      if (!isReadable(line)) continue;
      const anew = rewritten(lines, at, (said) => ({ ...said, time: '2026-02-02T00:00:00.000Z' }));

      expect(await problemOf(maker, fileOf(anew)), `line ${at + 1}`).toBeDefined();
    }
  });
});

test('any tail that is cut below the last seal is found while a daemon runs', async () => {
  const running = twoRuns().start().end().seal().end();
  const cuts = running.lines.slice(0, -2).map((_, count) => running.bytes(0, count));

  const problems = await Promise.all(cuts.map((bytes) => problemOf(running, bytes)));

  expect(problems.map((problem) => problem?.kind)).toEqual(cuts.map(() => 'cut'));
});

describe('what happened is told', () => {
  const maker = twoRuns();
  const { lines } = maker;
  const [third = '', fourth = '', fifth = ''] = lines.slice(2);

  test.each([
    ['a word in a line', 'changed', 4, lines.with(3, fourth.replace('shop', 'pohs'))],
    ['a line that is none any more', 'changed', 4, lines.with(3, fourth.slice(1))],
    ['the hash in a line', 'changed', 4, lines.with(3, edited(fourth, { prev: 'a'.repeat(64) }))],
    ['the MAC of a seal', 'changed', 5, lines.with(4, edited(fifth, { mac: 'a'.repeat(64) }))],
    ['the kind of the first line', 'changed', 1, [edited(third, { seq: 1, prev: ZERO_HASH })]],
    ['a line', 'removed', 4, lines.toSpliced(3, 1)],
    ['the first lines', 'removed', 1, lines.slice(2)],
    ['an older line', 'inserted', 5, lines.toSpliced(4, 0, third)],
    ['some text', 'inserted', 5, lines.toSpliced(4, 0, 'some text')],
    [
      'a line that looks right',
      'inserted',
      5,
      lines.toSpliced(4, 0, edited(fifth, { prev: ZERO_HASH })),
    ],
    ['a line of another log', 'inserted', 3, [...lines.slice(0, 2), otherStart(maker)]],
    ['two neighbours', 'reordered', 3, lines.with(2, fourth).with(3, third)],
    ['a line that went to the end', 'reordered', 3, [...lines.toSpliced(2, 1), third]],
    ['the end', 'cut', 7, lines.slice(0, 7)],
    ['all', 'cut', 0, []],
    ['a last line without its end', 'torn', 12, lines],
  ] as const)('%s: %s, at line %i', async (_, kind, line, changed) => {
    const bytes = fileOf(changed);

    const problem = await problemOf(maker, kind === 'torn' ? bytes.subarray(0, -1) : bytes);

    expect(problem).toMatchObject({ kind, line });
  });

  test('a log that was written anew, at the first seal after it', async () => {
    const anew = rewritten(lines, 2, (line) => ({ ...line, client: 'other' }));

    const report = await verifyLog([file(fileOf(anew))], witnessOf(maker));

    expect(report).toMatchObject({ lines: 4, end: { seq: 4 }, seals: 1, lastSeal: { seq: 2 } });
    expect(report.problem).toEqual({
      ...{ kind: 'changed', file: 'audit.log', line: 5, seq: 5 },
      message: expect.stringContaining('this line, or one since the seal with seq 2, was changed'),
    });
  });

  test('a log without any seal proves nothing', async () => {
    const unsealed = new LogMaker().start();

    expect(await problemOf(unsealed, unsealed.bytes(0, 1))).toMatchObject({ kind: 'cut' });
    const headless = withoutHeads(unsealed);
    expect(await problemOf(unsealed, unsealed.bytes(0, 1), headless)).toMatchObject({
      kind: 'seal',
    });
  });

  test('seals of a key that the token does not hold prove nothing', async () => {
    const foreign = new LogMaker(testMac, 'ffff').start();

    expect(await problemOf(foreign, foreign.bytes())).toMatchObject({
      ...{ kind: 'seal', line: 2, seq: 2 },
      message: expect.stringContaining('the audit key with id ffff'),
    });
  });

  test('the chain alone finds what breaks it, and nothing else', async () => {
    const chainOnly = { witness: undefined };
    const forged = lines.with(11, edited(lines[11] ?? '', { mac: 'a'.repeat(64) }));

    expect(await problemOf(maker, fileOf(forged), chainOnly)).toBeUndefined();
    expect(await problemOf(maker, fileOf(lines.slice(0, 7)), chainOnly)).toBeUndefined();
    expect(await problemOf(maker, fileOf(lines.toSpliced(3, 1)), chainOnly)).toBeDefined();
  });
});

describe('the verifier', () => {
  const maker = twoRuns();

  test('answers, whatever the file is', async () => {
    const junk = fc.oneof(
      fc.uint8Array({ maxLength: 3_000 }).map((bytes) => Buffer.from(bytes)),
      fc.array(fc.oneof(fc.json(), fc.constantFrom(...maker.lines))).map(fileOf),
    );

    await fc.assert(
      fc.asyncProperty(junk, async (bytes) => {
        fc.pre(!bytes.equals(maker.bytes()));

        expect(await problemOf(maker, bytes)).toBeDefined();
      }),
      { numRuns: 500 },
    );
  });

  test('keeps no more than one line, however long the lines are', async () => {
    const splitter = new LineSplitter(MAX_AUDIT_LINE_BYTES);
    const piece = Buffer.alloc(1_000_000, 'x');

    const parts = [...splitter.push(piece), ...splitter.push(piece), ...splitter.finish()];

    expect(parts.every(({ isWhole }) => !isWhole)).toBe(true);
    expect(Math.max(...parts.map(({ bytes }) => bytes.byteLength))).toBe(MAX_AUDIT_LINE_BYTES);
    expect(Buffer.concat(parts.map(({ bytes }) => bytes))).toHaveLength(2_000_000);
  });
});

/** A line that says something else in places. */
function edited(line: string, changes: object): string {
  return JSON.stringify({ ...JSON.parse(line), ...changes });
}

/** Lines of which one has changed, with the hashes that this makes right. */
function rewritten(
  lines: readonly string[],
  at: number,
  change: (line: object) => object,
): string[] {
  const [line = '', ...rest] = lines.slice(at);
  const anew = [...lines.slice(0, at), JSON.stringify(change(JSON.parse(line)))];
  let prev = hashOf(anew.at(-1) ?? '');
  for (const next of rest) {
    const linked = isReadable(next) ? edited(next, { prev }) : next;
    prev = linked === next ? tornHash(prev).update(next).digest('hex') : hashOf(linked);
    anew.push(linked);
  }
  return anew;
}

function isReadable(line: string): boolean {
  return readAuditLine(Buffer.from(line)).wrong === undefined;
}

/** A start that follows the first two lines, and is of another log. */
function otherStart({ lines }: LogMaker): string {
  const log = '00000000-0000-4000-8000-000000000000';
  return edited(lines[0] ?? '', { seq: 3, prev: hashOf(lines[1] ?? ''), log });
}
