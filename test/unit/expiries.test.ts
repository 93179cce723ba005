import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { expiryWatch } from '../../src/expiries.ts';

const DAY_MS = 24 * 60 * 60 * 1_000;
const NOW_MS = Date.UTC(2026, 0, 1);

beforeEach(() => {
  vi.useFakeTimers({ now: NOW_MS });
});

afterEach(() => {
  vi.useRealTimers();
});

/** What the log says of a file and of a grant that end in so many days. */
function linesOf({ file, grant }: { readonly file?: number; readonly grant?: number }) {
  const lines: unknown[] = [];
  const write = (level: string) => (fields: unknown, text?: string) => {
    lines.push({ level, fields, text });
  };
  const endOf = (days: number) => NOW_MS + days * DAY_MS;
  const watch = expiryWatch(
    {
      files: () =>
        file === undefined
          ? []
          : [{ file: '/clients.crl', role: 'client_crl', startsAtMs: 0, expiresAtMs: endOf(file) }],
      clients: () => [
        {
          name: 'shop',
          limits: {},
          grants: [
            { keys: ['*'], operations: ['getKey'] },
            ...(grant === undefined
              ? []
              : [{ keys: ['a'], operations: ['sign' as const], expiresAtMs: endOf(grant) }]),
          ],
        },
      ],
    },
    { warn: write('warn'), error: write('error') },
  );
  watch.start();
  watch.stop();
  return lines;
}

test('a file is told of 30 days ahead', () => {
  expect(linesOf({ file: 31 })).toEqual([]);
  expect(linesOf({ file: 30 })).toEqual([
    {
      level: 'warn',
      fields: { file: '/clients.crl', role: 'client_crl', expires: '2026-01-31T00:00:00.000Z' },
      text: 'a revocation list is going to expire',
    },
  ]);
});

test('a file that has expired is an error, which says what comes of it', () => {
  expect(linesOf({ file: 0 })).toMatchObject([
    {
      level: 'error',
      text: 'a revocation list has expired: all clients of its authority are refused',
    },
  ]);
});

test('a grant is told of 7 days ahead', () => {
  expect(linesOf({ grant: 8 })).toEqual([]);
  expect(linesOf({ grant: 7 })).toEqual([
    {
      level: 'warn',
      fields: {
        ...{ client: 'shop', keys: ['a'], operations: ['sign'] },
        expires: '2026-01-08T00:00:00.000Z',
      },
      text: 'a grant is going to expire',
    },
  ]);
});

test('a grant that has expired is a warning', () => {
  expect(linesOf({ grant: -1 })).toMatchObject([
    { level: 'warn', text: 'a grant has expired: it gives nothing any more' },
  ]);
});
