import { createHmac, randomUUID } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import { type RpcFixture, startRpc } from '../support/rpc-fixture.ts';
import { type Run, sigilctl, sigilctlOnTerminal } from './admin-sigilctl.ts';

/** Shorter than HMAC-SHA256's output. */
const SECRET = 'weing1phojieRaht';

let rpc: RpcFixture;
let environment: NodeJS.ProcessEnv;

beforeEach(async () => {
  rpc = startRpc();
  environment = { ...process.env, SIGILD_ADDRESS: await rpc.listen() };
});

afterEach(() => rpc.close());

function importArgs(...args: readonly string[]): string[] {
  return ['key', 'import', 'partner', '--algorithm', 'HMAC_SHA256', ...args];
}

function importKey(args: readonly string[], stdin: string | Uint8Array = ''): Promise<Run> {
  return sigilctl(importArgs(...args), { environment, stdin });
}

function secretFile(content: string | Uint8Array, mode = 0o600): string {
  const file = join(rpc.folder, randomUUID());
  writeFileSync(file, content);
  chmodSync(file, mode);
  return file;
}

/** Whether the key makes the MACs of a secret. */
async function isKeyOf(secret: string | Uint8Array): Promise<boolean> {
  const { stdout } = await sigilctl(['sign', '--key', 'partner'], { environment, stdin: 'data' });
  return stdout === `${createHmac('sha256', secret).update('data').digest('base64')}\n`;
}

describe('key import', () => {
  test.each([
    ['text', `${SECRET}\n`],
    ['text', SECRET],
    ['hex', `${Buffer.from(SECRET).toString('hex')}\r\n`],
    ['base64', Buffer.from(SECRET).toString('base64')],
    ['raw', SECRET],
  ])('takes a secret as %s from a file', async (format, content) => {
    const run = await importKey(['--format', format, '--secret-file', secretFile(content)]);

    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await isKeyOf(SECRET)).toBe(true);
  });

  test('takes every byte of a raw secret', async () => {
    const secret = Buffer.from([0, 255, 10, 13, 10]);

    await importKey(['--format', 'raw', '--secret-stdin'], secret);

    expect(await isKeyOf(secret)).toBe(true);
  });

  test('takes a secret that is longer than the hash’s block from stdin', async () => {
    const secret = 'long '.repeat(1_000);

    await importKey(['--format', 'text', '--secret-stdin'], `${secret}\n`);

    expect(await isKeyOf(secret)).toBe(true);
  });

  test('tells of the key, and shows nothing of the secret', async () => {
    const run = await importKey(['--format', 'text', '--secret-stdin', '-o', 'json'], SECRET);

    expect(JSON.parse(run.stdout)).toMatchObject({
      name: 'partner',
      primaryVersion: 1,
      versions: [{ version: 1, state: 'ACTIVE', origin: 'IMPORTED', attributes: { local: false } }],
    });
    expect(run.stdout).not.toContain(SECRET);
  });

  test('shows people where a version comes from', async () => {
    const run = await importKey(['--format', 'text', '--secret-stdin'], SECRET);

    expect(run.stdout).toMatch(/^1 +ACTIVE +HMAC_SHA256 +\S+ +IMPORTED /m);
  });

  test('imports nothing when the two answers differ', () => {
    const { exitCode, transcript } = sigilctlOnTerminal(
      importArgs('--format', 'text'),
      environment,
      [
        ['Secret (text): ', `${SECRET}\r`],
        ['Secret, again: ', `${SECRET}s\r`],
      ],
    );

    expect(exitCode).toBe(64);
    expect(transcript).toContain('the two answers differ; nothing was changed');
    expect(rpc.token.calls.makeImportKey).toBe(0);
  });

  test('makes a next version, which signs from then on', async () => {
    await importKey(['--format', 'text', '--secret-stdin'], 'first');

    const args = ['--format', 'text', '--secret-stdin', '--new-version', '-o', 'json'];
    const run = await importKey(args, 'second');

    expect(JSON.parse(run.stdout)).toMatchObject({
      primaryVersion: 2,
      versions: [
        { version: 2, state: 'ACTIVE' },
        { version: 1, state: 'DEACTIVATED' },
      ],
    });
    expect(await isKeyOf('second')).toBe(true);
  });

  test('repeated with one request id gives the key that is there', async () => {
    const args = ['--format', 'text', '--secret-stdin', '--request-id', 'r1', '-o', 'json'];

    const first = await importKey(args, SECRET);
    const second = await importKey(args, SECRET);

    expect(first.exitCode).toBe(0);
    expect(second).toEqual(first);
  });

  test('wraps the secret anew where the daemon has lost the import key', async () => {
    rpc.token.failNext('createKey', new SigildError('IMPORT_KEY_NOT_FOUND', 'lost'));

    const run = await importKey(['--format', 'text', '--secret-stdin'], SECRET);

    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(rpc.token.calls.makeImportKey).toBe(2);
  });

  test('refuses a name that is taken', async () => {
    rpc.token.writeKey('partner', Buffer.alloc(32));

    const run = await importKey(['--format', 'text', '--secret-stdin'], SECRET);

    expect(run).toMatchObject({ exitCode: 1, stdout: '' });
    expect(run.stderr).toContain('(KEY_ALREADY_EXISTS)');
  });

  test.each([0o640, 0o604, 0o644])('refuses a file of mode %o', async (mode) => {
    const file = secretFile(SECRET, mode);

    const run = await importKey(['--format', 'text', '--secret-file', file]);

    expect(run).toMatchObject({ exitCode: 78, stdout: '' });
    expect(run.stderr).toContain('can be read by others');
  });

  test('says which file is not there', async () => {
    const run = await importKey(['--format', 'text', '--secret-file', '/nowhere/secret']);

    expect(run).toMatchObject({ exitCode: 78, stdout: '' });
    expect(run.stderr).toContain('/nowhere/secret');
  });

  test.each([
    ['is empty', 'text', '\n'],
    ['is empty', 'raw', ''],
    ['is not hex', 'hex', 'weing1phojieRaht'],
    ['is not base64', 'base64', 'weing1phojieRaht!'],
    ['has more than 65536 bytes', 'raw', Buffer.alloc(65_537, 'x')],
  ])('refuses a secret that %s as %s, and does not repeat it', async (why, format, secret) => {
    const run = await importKey(['--format', format, '--secret-stdin'], secret);

    expect(run.exitCode).not.toBe(0);
    expect(run.stderr).toContain(why);
    expect(run.stderr).not.toContain('weing1');
    expect(rpc.token.calls.makeImportKey).toBe(0);
  });

  test('refuses a secret of the wrong length for AES-CMAC', async () => {
    const args = ['key', 'import', 'mac', '--algorithm', 'AES_128_CMAC', '--format', 'text'];

    const run = await sigilctl([...args, '--secret-stdin'], { environment, stdin: 'short' });

    expect(run.exitCode).toBe(64);
    expect(run.stderr).toContain('a secret for AES_128_CMAC has 16 bytes');
  });

  test.each([
    ['no format', ['--secret-stdin']],
    ['an unknown format', ['--format', 'der', '--secret-stdin']],
    ['a private key for HMAC', ['--format', 'pem', '--secret-stdin']],
    ['two sources', ['--format', 'text', '--secret-stdin', '--secret-file', 'f']],
    ['no source and no terminal', ['--format', 'text']],
    ['no source and a raw secret', ['--format', 'raw']],
    ['--keep-active alone', ['--format', 'text', '--secret-stdin', '--keep-active']],
    ['a secret on the command line', ['--format', 'text', '--secret', SECRET]],
  ])('is refused with %s', async (_, args) => {
    const run = await importKey(args, SECRET);

    expect(run).toMatchObject({ exitCode: 64, stdout: '' });
    expect(run.stderr).not.toContain(SECRET);
  });
});
