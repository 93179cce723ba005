import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Arguments, UsageError } from '../../scripts/bench/arguments.ts';
import { ResultFiles } from '../../scripts/bench/result-files.ts';
import type { Scenario } from '../../scripts/bench/scenario.ts';
import { MACHINE } from '../support/bench-machine.ts';
import { README } from '../support/readme.ts';

const OUTCOME = { rows: [{ name: 'unary', opsPerSecond: 9_000 }], ratios: {} };

const SCENARIO: Scenario = {
  name: 'unary',
  summary: 'many callers',
  run: () => Promise.resolve(OUTCOME),
};

let folder: string;
let charts: string;
let readme: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigild-test-'));
  charts = join(folder, 'made/charts');
  readme = join(folder, 'README.md');
  writeFileSync(readme, README);
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

function wanted(files: Partial<Arguments>): Arguments {
  const none = { charts: undefined, readme: undefined };
  return { scenarios: [SCENARIO], seconds: 1, rounds: 1, json: false, ...none, ...files };
}

test('an outcome is drawn and put into the README', () => {
  new ResultFiles(wanted({ charts, readme })).write(SCENARIO, MACHINE, OUTCOME);

  expect(readdirSync(charts)).toEqual(['unary.svg']);
  expect(readFileSync(join(charts, 'unary.svg'), 'utf8')).toMatch(/^<svg [\s\S]*9,000/);
  expect(readFileSync(readme, 'utf8')).toContain('| unary | 9,000 |');
});

test('an outcome is put nowhere unless that is wanted', () => {
  new ResultFiles(wanted({})).write(SCENARIO, MACHINE, OUTCOME);

  expect(existsSync(charts)).toBe(false);
  expect(readFileSync(readme, 'utf8')).toBe(README);
});

test('a README without a place for outcomes is refused before anything is measured', () => {
  writeFileSync(readme, '# Another\n');

  expect(() => new ResultFiles(wanted({ readme }))).toThrow(UsageError);
});

test('a folder that cannot be made is refused before anything is measured', () => {
  const files = wanted({ charts: join(readme, 'charts') });

  expect(() => new ResultFiles(files)).toThrow(UsageError);
});
