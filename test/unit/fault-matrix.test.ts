import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { tableUnder } from '../support/readme.ts';

const PROGRAM = fileURLToPath(new URL('../../scripts/lib/fault-matrix.js', import.meta.url));
const PLACE =
  '<!-- faults: what follows is made by npm run faults -->\n<!-- end of the faults -->\n';
const FIRST_CELLS = 3;

function run(...args: readonly string[]) {
  const { status, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], { encoding: 'utf8' });
  return { status, stderr };
}

describe('the README', () => {
  test('has the table of faults that the names of the tests make', () => {
    expect(run('--check')).toEqual({ status: 0, stderr: '' });
  });

  test('has a test behind every row', () => {
    const unproven = tableUnder('Faults').filter(([, , , , tests]) => tests === '');

    expect(unproven.map(([number]) => number)).toEqual([]);
  });
});

describe('the table', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sigild-fault-matrix-'));
    mkdirSync(join(folder, 'test/slow'), { recursive: true });
    writeFileSync(join(folder, 'README.md'), `# Title\n\n${PLACE}\nThe rest.\n`);
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  /** Puts a test of each title into a file. */
  function writeTests(file: string, ...titles: readonly string[]): void {
    const lines = titles.map((title) => `test(${title}, () => undefined);\n`);
    writeFileSync(join(folder, 'test', file), lines.join(''));
  }

  const title = (row: number, rest: string) => `fault ${row} ${rest}`;
  const readme = () => readFileSync(join(folder, 'README.md'), 'utf8');

  test('has a link to each test, and the tokens of all', () => {
    writeTests('slow/b.test.ts', `'${title(13, "[shim, p11-kit]: a MAC\\'s length counts")}'`);
    writeTests('a.test.ts', `"${title(13, '[SoftHSM, shim]: so does its key')}"`, '"another"');

    const { status } = run(folder);

    expect(status).toBe(0);
    const row = readme()
      .match(/^\| 13 \|.*$/m)?.[0]
      .split(' | ');
    expect(row?.slice(FIRST_CELLS)).toEqual([
      'shim, SoftHSM, p11-kit',
      "[so does its key](test/a.test.ts); [a MAC's length counts](test/slow/b.test.ts) |",
    ]);
    expect(readme()).toMatch(/^# Title\n.*\nThe rest\.\n$/s);
  });

  test('is checked, and written no second time', () => {
    writeTests('a.test.ts', `'${title(1, '[shim]: slow')}'`);
    const before = run('--check', folder);
    run(folder);
    const first = readme();

    const after = run('--check', folder);
    run(folder);

    expect([before.status, after.status]).toEqual([1, 0]);
    expect(readme()).toBe(first);
  });

  test.each([
    ['no token', title(1, 'slow')],
    ['an unknown token', title(1, '[HSM]: slow')],
    ['no claim', title(1, '[shim]')],
    ['a row that there is not', title(99, '[shim]: slow')],
    ['what breaks a table', title(1, '[shim]: slow | fast')],
  ])('is refused for a title with %s', (_, wrong) => {
    writeTests('a.test.ts', `'${wrong}'`);

    const { status, stderr } = run(folder);

    expect(status).toBe(1);
    expect(stderr).toContain(`test/a.test.ts: "${wrong}" is not`);
  });
});
