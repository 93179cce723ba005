import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { EXIT_STATUS } from '../../src/admin/exit-status.ts';
import { SIGILCTL, sigilctl } from './admin-sigilctl.ts';

const { version } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
);

test('--version prints the version', async () => {
  const run = await sigilctl(['--version']);

  expect(run).toEqual({ exitCode: 0, stdout: `sigilctl ${version}\n`, stderr: '' });
});

test('--help documents every exit code', async () => {
  const { stdout } = await sigilctl(['--help']);

  for (const { code, meaning } of Object.values(EXIT_STATUS)) {
    expect(stdout).toMatch(new RegExp(`^${code} +${meaning.replace(/[()]/g, '\\$&')}$`, 'm'));
  }
});

test.each([
  '',
  'token',
  'token init',
  'token list',
  'token info',
  'key',
  'key create',
  'key list',
  'key show',
  'key rotate',
  'key suspend',
  'key activate',
  'key deactivate',
  'key export-public',
  'key jwks',
  'sign',
  'verify',
  'audit',
  'audit verify',
  'audit tail',
  'audit query',
])('the help of "%s" has examples of it', async (command) => {
  const run = await sigilctl([...command.split(' '), '--help'].filter(Boolean));

  expect(run).toMatchObject({ exitCode: 0, stderr: '' });
  const examples = run.stdout.slice(run.stdout.indexOf('\nExamples:\n'));
  expect(examples).toContain(`sigilctl ${command}`);
});

test.each([
  ['a command that does not exist', ['sing'], 'Did you mean sign?'],
  [
    'an option that does not exist',
    ['sign', '--key', 'k', '--data', 'x'],
    "unknown option '--data'",
  ],
  ['an argument too many', ['key', 'list', 'webhooks'], 'too many arguments'],
  ['an option that is missing', ['sign'], "required option '--key <name>' not specified"],
  [
    'a format that does not exist',
    ['key', 'list', '-o', 'yaml'],
    'Allowed choices are table, json',
  ],
  ['a number out of range', ['key', 'show', 'k', '--version', '0'], 'must be an integer from 1'],
])('%s ends with 64 and a hint', async (_, args, hint) => {
  const run = await sigilctl(args);

  expect(run).toMatchObject({ exitCode: 64, stdout: '' });
  expect(run.stderr).toMatch(/^sigilctl: .* \(USAGE\)\n {2}/s);
  expect(run.stderr).toContain(hint);
});

test('a group without a command ends with 64 and shows the commands', async () => {
  const run = await sigilctl(['token']);

  expect(run).toMatchObject({ exitCode: 64, stdout: '' });
  expect(run.stderr).toContain('Commands:');
});

test.each([[['-o', 'json']], [['-ojson']], [['--output', 'json']], [['--output=json']]])(
  'a wrong command line is told in JSON with %s',
  async (format) => {
    const run = await sigilctl(['sign', ...format]);

    expect(run.exitCode).toBe(64);
    expect(JSON.parse(run.stderr).error).toMatchObject({ reason: 'USAGE' });
  },
);

test('a reader that stops early is no failure', () => {
  const pipeline = '"$0" "$1" --help | { exec <&-; sleep 1; }';

  const { stderr } = spawnSync('sh', ['-c', pipeline, process.execPath, SIGILCTL]);

  expect(stderr.toString()).toBe('');
});
