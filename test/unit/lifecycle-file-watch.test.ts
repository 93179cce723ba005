import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { watchFiles } from '../../src/lifecycle/file-watch.ts';

const INTERVAL_MS = 20;
const LONG = { timeout: 20_000 };
const LIMIT = { timeout: 15_000, interval: 5 };

let folder: string;
let file: string;
let told: number;
let stop: () => void;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sigild-watch-'));
  // As Kubernetes projects a file: by a link to a link to a folder.
  mkdirSync(join(folder, 'v1'));
  writeFileSync(join(folder, 'v1', 'file'), 'first');
  symlinkSync('v1', join(folder, '..data'));
  file = join(folder, 'file');
  symlinkSync('..data/file', file);
  told = 0;
  stop = watchFiles(
    [file],
    () => {
      told += 1;
    },
    INTERVAL_MS,
  );
  await vi.waitFor(() => expect(told).toBe(1), LIMIT);
});

afterEach(() => {
  stop();
  rmSync(folder, { recursive: true });
});

const CHANGES: [what: string, change: () => void][] = [
  ['is written anew', () => writeFileSync(file, 'other')],
  [
    'has another renamed over it',
    () => {
      writeFileSync(join(folder, 'new'), 'first');
      renameSync(join(folder, 'new'), file);
    },
  ],
  [
    'is in a folder that a link leads elsewhere from',
    () => {
      mkdirSync(join(folder, 'v2'));
      writeFileSync(join(folder, 'v2', 'file'), 'first');
      symlinkSync('v2', join(folder, '..new'));
      renameSync(join(folder, '..new'), join(folder, '..data'));
    },
  ],
  ['is removed', () => unlinkSync(file)],
];

test.each(CHANGES)('tells once of a file that %s', LONG, async (_, change) => {
  change();

  await vi.waitFor(() => expect(told).toBe(2), LIMIT);
});

test('tells again of a file that comes back', LONG, async () => {
  unlinkSync(file);
  await vi.waitFor(() => expect(told).toBe(2), LIMIT);

  writeFileSync(file, 'first');

  await vi.waitFor(() => expect(told).toBe(3), LIMIT);
});

test('says nothing while nothing changes, nor after its end', LONG, async () => {
  await new Promise((resolve) => setTimeout(resolve, 10 * INTERVAL_MS));
  expect(told).toBe(1);

  stop();
  writeFileSync(file, 'other');

  await new Promise((resolve) => setTimeout(resolve, 10 * INTERVAL_MS));
  expect(told).toBe(1);
});
