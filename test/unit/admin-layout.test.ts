import { expect, test } from 'vitest';
import { columns, fields } from '../../src/admin/layout.ts';

test('columns are as wide as their widest cell and lines end without blanks', () => {
  const text = columns(
    ['NAME', 'STATE'],
    [
      ['a', 'ACTIVE'],
      ['webhooks', '-'],
    ],
  );

  expect(text).toBe('NAME      STATE\na         ACTIVE\nwebhooks  -\n');
});

test('names of fields are padded to one width', () => {
  expect(fields({ label: 'prod', 'user PIN': 'set' })).toBe('label     prod\nuser PIN  set\n');
});

test('control characters that a token sends do not reach the terminal', () => {
  const text = columns(['LABEL'], [['\u001b[2Jprod\u009b']]);

  expect(text).toBe('LABEL\n\u{fffd}[2Jprod\u{fffd}\n');
});
