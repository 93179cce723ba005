import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const PROGRAM = fileURLToPath(new URL('../../scripts/lib/count-tests.js', import.meta.url));

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'sigild-count-tests-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('counts what passed', () => {
  expect(count({ passed: 3 })).toEqual({ line: '3 passed, 0 failed', status: 0 });
});

test('counts what failed, and fails', () => {
  expect(count({ passed: 3, failed: 2 })).toEqual({ line: '3 passed, 2 failed', status: 1 });
});

test('names what was skipped', () => {
  expect(count({ passed: 3, skipped: 1 }).line).toBe('3 passed, 0 failed, 1 skipped');
});

test('counts a file that failed without a failed test', () => {
  const files = [{ status: 'failed', assertionResults: [] }];

  expect(count({ passed: 3, files })).toEqual({ line: '3 passed, 1 failed', status: 1 });
});

test('counts a file with a failed test once', () => {
  const files = [{ status: 'failed', assertionResults: [{ status: 'failed' }] }];

  expect(count({ passed: 3, failed: 1, files }).line).toBe('3 passed, 1 failed');
});

test('counts a run that failed though no test did', () => {
  expect(count({ passed: 3, testsStatus: 1 })).toEqual({ line: '3 passed, 1 failed', status: 1 });
});

test('counts a failed check', () => {
  expect(count({ passed: 3, checkStatus: 1 })).toEqual({ line: '3 passed, 1 failed', status: 1 });
});

interface Run {
  readonly passed: number;
  readonly failed?: number;
  readonly skipped?: number;
  readonly files?: readonly unknown[];
  readonly checkStatus?: number;
  readonly testsStatus?: number;
}

function count({ passed, failed = 0, skipped = 0, files = [], ...statuses }: Run) {
  const { checkStatus = 0, testsStatus = failed > 0 || files.length > 0 ? 1 : 0 } = statuses;
  const results = path.join(folder, 'results.json');
  const counts = { numPassedTests: passed, numFailedTests: failed, numTodoTests: 0 };
  writeFileSync(
    results,
    JSON.stringify({ ...counts, numPendingTests: skipped, testResults: files }),
  );
  const { stdout, status } = spawnSync(
    process.execPath,
    [PROGRAM, results, String(checkStatus), String(testsStatus)],
    { encoding: 'utf8' },
  );
  return { line: stdout.trimEnd(), status };
}
