import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FINGERPRINT_TEXT, isReserved, ReservedText } from '../../src/service/reserved-text.ts';

/** Places at which a text of so many bytes is cut, and empty pieces among them. */
const cuts = fc.array(fc.nat({ max: FINGERPRINT_TEXT.byteLength }), { maxLength: 6 });

function inPieces(data: Uint8Array, places: readonly number[]): ReservedText {
  const sorted = [0, ...places.toSorted((a, b) => a - b), data.byteLength];
  const text = new ReservedText();
  for (const [index, place] of sorted.entries()) text.add(data.subarray(sorted[index - 1], place));
  return text;
}

test('the reserved text is known in whatever pieces it comes', () => {
  fc.assert(
    fc.property(cuts, (places) => {
      expect(inPieces(FINGERPRINT_TEXT, places).isWhole).toBe(true);
    }),
  );
});

test.each([
  ['its beginning', FINGERPRINT_TEXT.subarray(0, -1)],
  ['the text with more after it', Buffer.concat([FINGERPRINT_TEXT, Buffer.from('.')])],
  ['the text with more before it', Buffer.concat([Buffer.from('.'), FINGERPRINT_TEXT])],
  ['the text twice', Buffer.concat([FINGERPRINT_TEXT, FINGERPRINT_TEXT])],
  ['nothing', Buffer.alloc(0)],
])('%s is no reserved text', (_, data) => {
  expect(isReserved(data)).toBe(false);
  fc.assert(
    fc.property(cuts, (places) => {
      const within = places.map((place) => Math.min(place, data.byteLength));
      expect(inPieces(data, within).isWhole).toBe(false);
    }),
  );
});

test('another text of its length is none', () => {
  const other = Buffer.from(FINGERPRINT_TEXT);
  other[other.byteLength - 1] = 0;

  expect(isReserved(other)).toBe(false);
  expect(inPieces(other, [3, 20]).isWhole).toBe(false);
});
