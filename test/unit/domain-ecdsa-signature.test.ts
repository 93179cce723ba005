import { generateKeyPairSync, sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { derOfRaw, rawOfDer } from '../../src/domain/ecdsa-signature.ts';

const CURVES = [
  ['P-256', 64],
  ['P-384', 96],
  ['P-521', 132],
] as const;

function hex(bytes: Uint8Array | undefined): string | undefined {
  return bytes && Buffer.from(bytes).toString('hex');
}

/** DER of r and s that are no longer than a byte each. */
function der(text: string): Uint8Array {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

describe.each(CURVES)('a signature of %s', (curve, bytes) => {
  test('is the same number in both formats', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: bytes, maxLength: bytes }), (raw) => {
        expect(hex(rawOfDer(derOfRaw(raw), bytes))).toBe(hex(raw));
      }),
    );
  });

  test('is written as openssl writes it', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: curve });
    for (let round = 0; round < 50; round++) {
      const written = sign('sha256', Buffer.from([round]), privateKey);

      const raw = rawOfDer(written, bytes);

      expect(raw).toHaveLength(bytes);
      expect(hex(derOfRaw(raw ?? written))).toBe(hex(written));
    }
  });

  test.each([
    ['zeros', 0x00],
    ['small numbers with zeros in front', 0x01],
    ['numbers with their highest bit set', 0xff],
  ])('keeps %s', (_, last) => {
    const raw = new Uint8Array(bytes);
    raw[bytes / 2 - 1] = last;
    raw[bytes - 1] = last;

    expect(hex(rawOfDer(derOfRaw(raw), bytes))).toBe(hex(raw));
  });
});

test('the shortest DER is read', () => {
  const raw = rawOfDer(der('30 06 02 01 01 02 01 02'), 64);

  expect(hex(raw)).toBe(`${'00'.repeat(31)}01${'00'.repeat(31)}02`);
});

test.each([
  ['nothing', ''],
  ['a tag alone', '30'],
  ['no sequence', '31 06 02 01 01 02 01 02'],
  ['a length that is too short', '30 05 02 01 01 02 01 02'],
  ['a length that is too long', '30 07 02 01 01 02 01 02'],
  ['bytes after the end', '30 06 02 01 01 02 01 02 00'],
  ['a third number', '30 09 02 01 01 02 01 02 02 01 03'],
  ['one number alone', '30 03 02 01 01'],
  ['a long form for a short length', '30 81 06 02 01 01 02 01 02'],
  ['an indefinite length', '30 80 02 01 01 02 01 02 00 00'],
  ['a length of two bytes', '30 82 00 06 02 01 01 02 01 02'],
  ['a number of no bytes', '30 05 02 00 02 01 02'],
  ['a negative number', '30 06 02 01 81 02 01 02'],
  ['a number with a zero too many', '30 07 02 02 00 01 02 01 02'],
  ['a number that goes on behind the end', '30 06 02 01 01 02 05 02'],
  ['another type of number', '30 06 0a 01 01 02 01 02'],
  ['a number that is too large', `30 26 02 21 01 ${'00 '.repeat(32)} 02 01 02`],
])('%s is no signature', (_, text) => {
  expect(rawOfDer(der(text), 64)).toBeUndefined();
});

test('no bytes whatever are read as another DER than they are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const raw = rawOfDer(bytes, 64);

      if (raw) expect(hex(derOfRaw(raw))).toBe(hex(bytes));
    }),
  );
});
