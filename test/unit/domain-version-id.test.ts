import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeVersionId,
  encodeVersionId,
  MAX_VERSION,
  TAG_BYTES,
  VERSION_ID_BYTES,
} from '../../src/domain/version-id.ts';

const EARLIEST_MS = Date.UTC(2020, 0, 1);
const LATEST_MS = Date.UTC(2100, 0, 1) - 1;

const versionId = fc.record({
  createTimeMs: fc.integer({ min: EARLIEST_MS, max: LATEST_MS }),
  version: fc.integer({ min: 1, max: MAX_VERSION }),
  tag: fc.uint8Array({ minLength: TAG_BYTES, maxLength: TAG_BYTES }),
});

function encoded(createTimeMs: number, version: number): Uint8Array {
  return encodeVersionId({ createTimeMs, version, tag: new Uint8Array(TAG_BYTES) });
}

describe('an id of ours', () => {
  test('tells time, version and tag again', () => {
    fc.assert(
      fc.property(versionId, (wanted) => {
        const id = encodeVersionId(wanted);

        expect(id.byteLength).toBe(VERSION_ID_BYTES);
        expect(decodeVersionId(id)).toEqual(wanted);
      }),
    );
  });

  test('is read where it stands inside of a larger buffer', () => {
    fc.assert(
      fc.property(versionId, fc.nat({ max: 9 }), (wanted, offset) => {
        const memory = new Uint8Array(offset + VERSION_ID_BYTES + 3).fill(0xff);
        memory.set(encodeVersionId(wanted), offset);

        const view = memory.subarray(offset, offset + VERSION_ID_BYTES);

        expect(decodeVersionId(view)).toEqual(wanted);
      }),
    );
  });

  test('sorts by time, then by version', () => {
    fc.assert(
      fc.property(versionId, versionId, (one, other) => {
        const order = Buffer.compare(encodeVersionId(one), encodeVersionId(other));
        const expected = one.createTimeMs - other.createTimeMs || one.version - other.version;

        if (expected !== 0) expect(Math.sign(order)).toBe(Math.sign(expected));
      }),
    );
  });

  test('has the bytes that stand on tokens', () => {
    const tag = Uint8Array.from([1, 2, 3, 4, 5, 6]);

    const id = encodeVersionId({ createTimeMs: 0x0190_1234_5678, version: 7, tag });

    expect(Buffer.from(id).toString('hex')).toBe('01901234567800000007010203040506');
  });
});

describe('an id of another tool', () => {
  test('is known by any other length', () => {
    const lengths = fc.nat({ max: 64 }).filter((length) => length !== VERSION_ID_BYTES);
    fc.assert(
      fc.property(lengths, (length) => {
        const id = new Uint8Array(length);
        id.set(encoded(EARLIEST_MS, 1).subarray(0, length));

        expect(decodeVersionId(id)).toBeUndefined();
      }),
    );
  });

  test.each([
    ['a time before 2020', encoded(EARLIEST_MS - 1, 1)],
    ['a time after 2099', encoded(LATEST_MS + 1, 1)],
    ['version 0', encoded(EARLIEST_MS, 0)],
    ['a version that no key reaches', encoded(EARLIEST_MS, MAX_VERSION + 1)],
    ['nothing but zeros', new Uint8Array(VERSION_ID_BYTES)],
    ['nothing but ones', new Uint8Array(VERSION_ID_BYTES).fill(0xff)],
  ])('is known by %s', (_, id) => {
    expect(decodeVersionId(id)).toBeUndefined();
  });

  test('stays what it is when it happens to pass for ours', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: VERSION_ID_BYTES, maxLength: VERSION_ID_BYTES }),
        (id) => {
          const decoded = decodeVersionId(id);

          if (decoded) expect(encodeVersionId(decoded)).toEqual(id);
        },
      ),
    );
  });
});

test.each([
  [EARLIEST_MS, 1],
  [LATEST_MS, MAX_VERSION],
])('the bounds belong to ours: %i ms, version %i', (createTimeMs, version) => {
  expect(decodeVersionId(encoded(createTimeMs, version))).toMatchObject({ createTimeMs, version });
});
