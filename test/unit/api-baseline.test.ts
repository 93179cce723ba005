import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

let workspace = '';

beforeEach(() => {
  workspace = mkdtempSync(path.join(tmpdir(), 'sigild-api-baseline-'));
  for (const name of ['buf.yaml', 'package.json', 'proto']) {
    cpSync(path.join(ROOT, name), path.join(workspace, name), { recursive: true });
  }
});

afterEach(() => rmSync(workspace, { recursive: true, force: true }));

test('the API breaks nothing that its released description promises', () => {
  expect(checkProto()).toEqual({ status: 0, output: '' });
});

test.each([
  ['a field that is gone', 'signing.proto', /^\s*optional bytes data = 3;$/m, ''],
  ['a field of another type', 'signing.proto', 'uint32 version = 2;', 'uint64 version = 2;'],
  ['a field of another number', 'signing.proto', 'bytes signature = 1;', 'bytes signature = 9;'],
  ['an rpc of another name', 'keys.proto', 'rpc GetKey(', 'rpc ReadKey('],
  ['an enum value of another name', 'keys.proto', 'HMAC_SHA512 = 5;', 'HMAC_SHA_512 = 5;'],
])('%s is refused', (_, file, what, replacement) => {
  edit(file, what, replacement);

  const { status, output } = checkProto();

  expect(status).not.toBe(0);
  expect(output).toContain(`proto/sigild/v1/${file}:`);
});

test('a new field is accepted', () => {
  edit('signing.proto', 'message SignRequest {', 'message SignRequest {\n  string note = 99;\n');

  expect(checkProto().status).toBe(0);
});

function edit(file: string, what: string | RegExp, replacement: string): void {
  const target = path.join(workspace, 'proto/sigild/v1', file);
  const before = readFileSync(target, 'utf8');
  const after = before.replace(what, replacement);
  expect(after).not.toBe(before);
  writeFileSync(target, after);
}

function checkProto(): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('npm', ['run', '--silent', 'check:proto'], {
    cwd: workspace,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${ROOT}node_modules/.bin:${process.env['PATH']}` },
  });
  return { status, output: stdout + stderr };
}
