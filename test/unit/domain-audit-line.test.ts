import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hashOf } from '../../src/audit/line-hash.ts';
import { readAuditLine, ZERO_HASH } from '../../src/domain/audit-line.ts';
import {
  decodeAuditHead,
  encodeAuditHead,
  MAX_AUDIT_HEAD_BYTES,
  sealedLine,
  sealText,
  unsealedPart,
  unsealedText,
} from '../../src/domain/audit-seal.ts';

const BOOT = '6f3c2f1e-9a51-4a37-8f6e-1f1d3f0c5a77';

const common = { seq: 7, prev: ZERO_HASH, time: '2026-11-22T20:46:36.120Z', boot: BOOT };

const lines = {
  start: { ...common, kind: 'start', version: '0.1.0', log: BOOT, auditKey: '0a1b' },
  begin: { ...common, kind: 'begin', request: 'r-1', operation: 'CreateKey', key: 'webhooks' },
  end: {
    ...{ ...common, kind: 'end', request: 'r-1', trace: '0'.repeat(32), client: 'shop' },
    ...{ peer: 'unix', operation: 'Verify', key: 'webhooks', version: 2, outcome: 'OK' },
    ...{ valid: false, items: 3, failed: 0, latencyUs: 812, dataDigest: 'a'.repeat(64) },
  },
  seal: { ...common, kind: 'seal', mac: 'b'.repeat(64) },
  stop: { ...common, kind: 'stop' },
};

function read(line: object | string) {
  return readAuditLine(Buffer.from(typeof line === 'string' ? line : JSON.stringify(line)));
}

describe('a line of an audit log', () => {
  test.each(Object.entries(lines))('is read as it was written: %s', (_, line) => {
    expect(read(line)).toEqual({ line, text: JSON.stringify(line) });
  });

  test('may say nothing of an operation but its name and outcome', () => {
    const line = { ...common, kind: 'end', operation: 'Sign', outcome: 'OK' };

    expect(read(line)).toMatchObject({ line });
  });

  const { mac: _, ...withoutMac } = lines.seal;

  test.each([
    ['nothing', '', 'not a JSON object'],
    ['a torn line', JSON.stringify(lines.end).slice(0, -1), 'not a JSON object'],
    ['a list', '[]', 'not a JSON object'],
    ['null', 'null', 'not a JSON object'],
    ['white space', `${JSON.stringify(lines.stop)} `, 'not written as'],
    ['a number in another form', JSON.stringify(lines.stop).replace('7', '7.0'), 'not written as'],
    ['an escape that nobody needs', JSON.stringify(lines.begin).replace('"r-1', '"\\u0072-1')],
    ['a member twice', JSON.stringify(lines.stop).replace('}', ',"kind":"stop"}'), 'not written'],
    ['another kind', { ...lines.stop, kind: 'pause' }, 'of no kind'],
    ['a kind that all objects have', { ...lines.stop, kind: 'toString' }, 'of no kind'],
    ['no kind', common, 'of no kind'],
    ['no line before', { ...lines.stop, seq: 0 }, 'its seq is missing or none'],
    ['a part of a number', { ...lines.stop, seq: 1.5 }, 'its seq is missing or none'],
    ['a number without end', { ...lines.stop, seq: 2 ** 53 }, 'its seq is missing or none'],
    ['a hash in capitals', { ...lines.stop, prev: 'A'.repeat(64) }, 'its prev is missing or none'],
    ['a MAC in capitals', { ...lines.seal, mac: 'A'.repeat(64) }, 'its mac is missing or none'],
    ['a day that never was', { ...lines.stop, time: '2026-02-30T00:00:00.000Z' }, 'its time'],
    ['a time without milliseconds', { ...lines.stop, time: '2026-11-22T20:46:36Z' }, 'its time'],
    ['no MAC', withoutMac, 'its mac is missing'],
    ['members in another order', { kind: 'stop', ...common }, 'in another order'],
    ['a member too many', { ...lines.stop, mac: 'b'.repeat(64) }, 'another member'],
    ['a client that is a number', { ...lines.end, client: 7 }, 'its client is missing or none'],
  ])('is not made of %s', (_, line, wrong = 'not written as') => {
    expect(read(line)).toEqual({ wrong: expect.stringContaining(wrong) });
  });

  test('is not made of bytes that are no UTF-8, nor of a byte order mark', () => {
    const bytes = Buffer.from(JSON.stringify(lines.begin).replace('r-1', 'r-\xff'), 'latin1');

    expect(readAuditLine(bytes)).toEqual({ wrong: 'it is not UTF-8' });
    expect(read(`\ufeff${JSON.stringify(lines.stop)}`)).toHaveProperty('wrong');
  });

  test('is read without failing, whatever it is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.json().map(Buffer.from)), (bytes) => {
        expect(readAuditLine(bytes)).toHaveProperty('wrong');
      }),
    );
  });

  test('is no line any more, or another one, when a byte of it has changed', () => {
    const bytes = Buffer.from(JSON.stringify(lines.end));
    const place = fc.nat({ max: bytes.byteLength - 1 });

    fc.assert(
      fc.property(place, fc.integer({ min: 1, max: 255 }), (index, difference) => {
        const changed = Buffer.from(bytes);
        changed[index] = (changed[index] ?? 0) ^ difference;

        const answer = readAuditLine(changed);

        if (answer.wrong === undefined) expect(answer.line).not.toEqual(lines.end);
        expect(hashOf(changed)).not.toBe(hashOf(bytes));
      }),
    );
  });
});

describe('a seal', () => {
  test('is made over all of its line but the MAC itself', () => {
    const { mac, ...unsealed } = lines.seal;
    const text = unsealedText({ ...unsealed, kind: 'seal' });

    const line = sealedLine(text, mac);

    expect(line).toBe(JSON.stringify(lines.seal));
    expect(unsealedPart(line)).toBe(text);
    expect(Buffer.from(sealText(text)).toString()).toBe(
      `sigild audit seal v1\n{"seq":7,"prev":"${ZERO_HASH}","time":"2026-11-22T20:46:36.120Z",` +
        `"boot":"${BOOT}","kind":"seal"`,
    );
  });
});

describe('the head of a log', () => {
  test('is read as it was written, and fits', () => {
    const hash = hashOf('a line');
    fc.assert(
      fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (seq) => {
        const text = encodeAuditHead({ seq, hash });

        expect(decodeAuditHead(text)).toEqual({ seq, hash });
        expect(text.length).toBeLessThanOrEqual(MAX_AUDIT_HEAD_BYTES);
      }),
    );
  });

  test.each([
    ['nothing', ''],
    ['another order', `{"hash":"${ZERO_HASH}","seq":1}`],
    ['no seq', `{"hash":"${ZERO_HASH}"}`],
    ['a seq without end', `{"seq":9999999999999999,"hash":"${ZERO_HASH}"}`],
    ['a hash that is missing or none', '{"seq":1,"hash":"ab"}'],
  ])('is not made of %s', (_, text) => {
    expect(decodeAuditHead(text)).toBeUndefined();
  });
});
