import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeBase64 } from '../../src/admin/data-input.ts';

test('decodes what any encoder makes of any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const decoded = decodeBase64(Buffer.from(bytes).toString('base64'));

      expect(decoded).toEqual(Buffer.from(bytes));
    }),
  );
});

test.each([
  ['missing padding', 'AQI'],
  ['padding that is too long', 'AQI=='],
  ['another alphabet', '-_-_'],
  ['a line break', 'AQID\n'],
  ['blanks', 'AQ ID'],
  ['bits that no byte has', 'AQJ='],
  ['hexadecimal digits of odd length', 'deadbeef0'],
  ['text behind the padding', 'AQI=AQI='],
])('refuses %s', (_, text) => {
  expect(decodeBase64(text)).toBeUndefined();
});
