import { expect, test } from 'vitest';
import { CommandFailure } from '../../src/admin/command-failure.ts';
import { EXIT_STATUS, exitCodeOf } from '../../src/admin/exit-status.ts';
import { asFailure, Output, type OutputFormat } from '../../src/admin/output.ts';

function captured(format: OutputFormat) {
  const written = { stdout: '', stderr: '' };
  const stream = (name: keyof typeof written) => ({
    write: (text: string) => {
      written[name] += text;
    },
  });
  const output = new Output(format, { stdout: stream('stdout'), stderr: stream('stderr') });
  return { output, written };
}

const FAILURE = new CommandFailure('FIELD_INVALID', 'page_size: must be 0 to 1000', {
  violations: [
    { field: 'page_size', description: 'must be 0 to 1000' },
    { field: 'key', description: 'is no name' },
  ],
  nextStep: 'ask for less',
  retryAfterMs: 100,
});

test('a result is a text for people', () => {
  const { output, written } = captured('table');

  output.result({ valid: true }, 'valid\n');
  output.note('version 1');

  expect(written).toEqual({ stdout: 'valid\n', stderr: 'version 1\n' });
});

test('a result is one JSON document for programs, without notes', () => {
  const { output, written } = captured('json');

  output.result({ valid: true, version: undefined }, 'valid\n');
  output.note('version 1');

  expect(written).toEqual({ stdout: '{\n  "valid": true\n}\n', stderr: '' });
});

test('a failure names the reason, what the message leaves out, and the next step', () => {
  const { output, written } = captured('table');

  output.failure(FAILURE);

  expect(written).toEqual({
    stdout: '',
    stderr:
      'sigilctl: page_size: must be 0 to 1000 (FIELD_INVALID)\n  key: is no name\n  ask for less\n',
  });
});

test('a failure is a JSON document on stderr for programs', () => {
  const { output, written } = captured('json');

  output.failure(FAILURE);

  expect(written.stdout).toBe('');
  expect(JSON.parse(written.stderr)).toEqual({
    error: {
      reason: 'FIELD_INVALID',
      message: 'page_size: must be 0 to 1000',
      nextStep: 'ask for less',
      violations: FAILURE.violations,
      retryAfterMs: 100,
    },
  });
});

test('control characters that a daemon sends do not reach the terminal', () => {
  const { output, written } = captured('table');

  output.failure(new CommandFailure('INTERNAL', 'a\u001b]0;title\u0007'));

  expect(written.stderr).toBe('sigilctl: a\u{fffd}]0;title\u{fffd} (INTERNAL)\n');
});

test('an error of any other kind is a defect', () => {
  const failure = asFailure(new TypeError('nothing there'));

  expect(failure.reason).toBe('INTERNAL');
  expect(failure.message).toContain('TypeError: nothing there');
});

test.each([
  ['USAGE', 64],
  ['DAEMON_UNREACHABLE', 69],
  ['TOKEN_UNAVAILABLE', 69],
  ['SHUTTING_DOWN', 69],
  ['WRONG_PIN', 77],
  ['CONFIGURATION', 78],
  ['KEY_NOT_FOUND', 1],
  ['A_REASON_OF_A_NEWER_DAEMON', 1],
])('%s ends with %i', (reason, code) => {
  expect(exitCodeOf(reason)).toBe(code);
});

test('the exit codes are those that scripts rely on', () => {
  const codes = Object.values(EXIT_STATUS).map(({ code }) => code);

  expect(codes).toEqual([0, 1, 2, 3, 64, 69, 77, 78]);
});
