import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { connect } from '../../src/client/client.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const ROOT = join(import.meta.dirname, '../..');
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const EXAMPLE = [...README.matchAll(/^```ts\n(?<code>.*?)^```$/gms)]
  .map(({ groups }) => groups?.['code'] ?? '')
  .join('\n');

const run = promisify(execFile);

let softHsm: SoftHsm;
let daemon: Daemon;
/** A program's folder, in which the package is installed. */
let folder: string;

beforeAll(async () => {
  softHsm = createSoftHsm();
  daemon = await startDaemon(softHsm);
  const client = connect({ address: daemon.addresses[0] ?? '' });
  await client.keys.create('webhooks', 'HMAC_SHA256');
  await client.close();
  folder = mkdtempSync(join(tmpdir(), 'sigild-example-'));
  mkdirSync(join(folder, 'node_modules/@types'), { recursive: true });
  symlinkSync(ROOT, join(folder, 'node_modules/sigild'));
  symlinkSync(join(ROOT, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
});

afterAll(async () => {
  await daemon?.stop();
  softHsm?.remove();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

test('the examples of the README compile without the project’s options, and run', async () => {
  const address = `'${daemon.addresses[0]}'`;
  const program = EXAMPLE.replace("'unix:/run/sigild/sigild.sock'", address);
  writeFileSync(join(folder, 'example.ts'), program);

  await run(
    join(ROOT, 'node_modules/.bin/tsc'),
    [
      ...['--strict', '--target', 'es2022', '--module', 'nodenext', '--types', 'node'],
      'example.ts',
    ],
    { cwd: folder },
  );
  const { stdout, stderr } = await run(process.execPath, ['example.js'], { cwd: folder });

  expect(stderr).toBe('');
  expect(stdout.trimEnd().split('\n')).toEqual([
    'version 1 signed, version 1 verified',
    expect.stringMatching(/^KEY_NOT_FOUND .+/),
    'true',
    'true',
    'invoices HMAC_SHA512 1',
    'webhooks HMAC_SHA256 1',
    '2',
    'IMPORTED',
    '64 ES256',
  ]);
});
