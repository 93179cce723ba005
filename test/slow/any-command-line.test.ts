import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { EXIT_STATUS } from '../../src/admin/exit-status.ts';
import { SECRET_FORMATS } from '../../src/admin/secret-format.ts';
import { type Run, sigilctl } from '../integration/admin-sigilctl.ts';
import { corpus, FUZZ_TIMEOUT_MS, inputs, mutated } from '../support/fuzz.ts';

/** No daemon, no token: every run ends where it would ask one, or before. */
const NOBODY = ['--address', 'unix:/nonexistent/sigild.sock', '--timeout-ms', '50'];

const folder = mkdtempSync(join(tmpdir(), 'sigild-any-command-'));
const file = join(folder, 'input');

afterAll(() => rmSync(folder, { recursive: true }));

const CODES = Object.values(EXIT_STATUS).map(({ code }) => code);

/** A command line that is wrong or names what is wrong is told so, and none is a defect. */
function expectToldOf({ exitCode, stdout, stderr }: Run, what: string): void {
  expect(CODES, `${what}: ${stderr}`).toContain(exitCode);
  expect(stderr, what).not.toMatch(/INTERNAL|^ +at /m);
  if (exitCode !== 0) expect(stderr + stdout, what).not.toBe('');
}

const word = fc.oneof(
  fc.constantFrom(
    ...['token', 'init', 'list', 'info', 'key', 'create', 'show', 'rotate', 'update', 'suspend'],
    ...['activate', 'deactivate', 'destroy', 'restore', 'import', 'export-public', 'jwks'],
    ...['sign', 'verify', 'provision', 'help', 'webhooks', '__proto__', '', '-', '--', '../x'],
    ...['--key', '--algorithm', 'HMAC_SHA256', '--version', '1', '-o', 'json', '--output=json'],
    ...['--module', '/dev/null', '--label', '--pin-file', '--signature', '--input-file', file],
    ...['--rotation-period', '90d', '--format', 'hex', '--secret-file', '--secret-stdin'],
    ...['--timeout-ms', '--address', 'unix:', 'localhost:0', '[::1]:99999', '--check', '--yes'],
  ),
  fc.string({ maxLength: 20 }).map((text) => text.replaceAll('\0', '')),
);

const words = fc.array(word, { maxLength: 10 });

test('any command line is done or told of', { timeout: 10 * FUZZ_TIMEOUT_MS }, async () => {
  await fc.assert(
    fc.asyncProperty(words, async (args) => {
      expectToldOf(await sigilctl([...args, ...NOBODY]), JSON.stringify(args));
    }),
    inputs(80),
  );
});

const content = mutated(
  fc.constantFrom(
    ...[...corpus('documents'), ...corpus('public-keys')].map(({ bytes }) => bytes),
    ...[
      '6b6579',
      'a2V5',
      'a key\r\n',
      '-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n',
    ].map((text) => Buffer.from(text)),
    Buffer.alloc(70_000, 'x'),
  ),
);

/** Commands that read a file, each on its own way to the daemon. */
const COMMANDS: readonly (readonly string[])[] = [
  ['provision', file],
  ['provision', file, '--dry-run', '-o', 'json'],
  ['sign', '--key', 'webhooks', '--input-file', file],
  ['sign', '--key', 'webhooks', '--input-file', file, '--peer-public-key-file', file],
  ['verify', '--key', 'webhooks', '--input-file', file, '--signature-file', file],
  ...SECRET_FORMATS.map((format) => [
    ...['key', 'import', 'partner', '--format', format, '--secret-file', file],
    ...['--algorithm', format === 'pem' ? 'EC_SIGN_P256_SHA256' : 'HMAC_SHA256'],
  ]),
  ['key', 'list', '--ca', file, '--cert', file, '--key-file', file],
];

test('any content of a file is used or told of', { timeout: 10 * FUZZ_TIMEOUT_MS }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...COMMANDS), content, async (command, bytes) => {
      writeFileSync(file, bytes, { mode: 0o600 });
      const what = `${command.join(' ')} of ${bytes.toString('hex').slice(0, 400)}`;
      expectToldOf(await sigilctl([...command, ...NOBODY]), what);
    }),
    inputs(120),
  );
});
