import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hashOf } from '../../src/audit/line-hash.ts';
import type { TokenConnection } from '../../src/pkcs11/token-connection.ts';
import { fileOf, LogMaker, TEST_KEY_ID } from '../support/audit-log.ts';
import { keepHead, makeSealingKey } from '../support/audit-token.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { connectTo } from '../support/token-sessions.ts';
import { sigilctl } from './admin-sigilctl.ts';

let softHsm: SoftHsm;
let token: TokenConnection;
let maker: LogMaker;
let makeMac: (text: Uint8Array) => string;

/** Two runs of a daemon: 11 lines in two files. */
let files: readonly string[];

beforeAll(() => {
  softHsm = createSoftHsm('audited');
  token = connectTo(softHsm);
  makeMac = makeSealingKey(token, TEST_KEY_ID);
});

afterAll(() => {
  token.close();
  softHsm.remove();
});

beforeEach(() => {
  maker = sealedLog();
  files = [file('audit.log', maker.bytes(6)), file('audit.log.000000000001', maker.bytes(0, 6))];
});

function sealedLog(auditKey = TEST_KEY_ID): LogMaker {
  const log = new LogMaker(makeMac, auditKey).start().end().stop().start().end().end().stop();
  if (log.head) keepHead(token, log.log, log.head);
  return log;
}

describe('audit verify', () => {
  test('finds a log whole, whose seals the token has made', async () => {
    const run = await verify(files);

    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(run.stdout.split('\n')).toEqual([
      'whole, as the token has sealed it',
      `log         ${maker.log}`,
      'lines       11, the last one with seq 11',
      'seals       4, the last one with seq 11 at 2026-01-01T00:00:10.000Z',
      'torn parts  none',
      `end         11:${maker.head?.hash}`,
      '',
    ]);
  });

  test('prints a JSON document for programs', async () => {
    const run = await verify(files, '-o', 'json');

    expect(run.exitCode).toBe(0);
    expect(JSON.parse(run.stdout)).toEqual({
      ...{ whole: true, checked: 'seals', log: maker.log, lines: 11, end: maker.head },
      ...{ seals: 4, lastSeal: { seq: 11, time: '2026-01-01T00:00:10.000Z' } },
      ...{ tornParts: 0, notProven: [] },
    });
  });

  test('finds a line that was changed, in a log that was written anew from there', async () => {
    const changed = maker.lines.with(2, (maker.lines[2] ?? '').replace('shop', 'pohs'));
    for (let at = 3; at < changed.length; at += 1) {
      const line = JSON.parse(changed[at] ?? '');
      changed[at] = JSON.stringify({ ...line, prev: hashOf(changed[at - 1] ?? '') });
    }
    const name = file('audit.log', fileOf(changed));

    const run = await verify([name]);

    expect(run.exitCode).toBe(2);
    expect(run.stdout).toMatch(/^not whole: changed, .*audit\.log:5 \(seq 5\): its MAC is not/);
  });

  test('finds a tail that was cut at an older seal, by the newest one on the token', async () => {
    const run = await verify([file('audit.log', maker.bytes(0, 5))], '-o', 'json');

    expect(run.exitCode).toBe(2);
    expect(JSON.parse(run.stdout)).toMatchObject({
      whole: false,
      problem: { kind: 'cut', file: expect.stringContaining('audit.log'), line: 5, seq: 5 },
    });
  });

  test('takes no seal of a key that clients could use, though its id is the audit key it names', async () => {
    const id = 'c11e';
    const clientMac = makeSealingKey(token, id, 'webhooks');
    const forged = new LogMaker(clientMac, id).start();

    const run = await verify([file('audit.log', forged.bytes())]);

    expect(run.exitCode).toBe(2);
    expect(run.stdout).toContain('the token does not hold the audit key with id c11e');
  });

  test('takes no seal of a key that somebody has brought to the token', async () => {
    const id = 'b0b0';
    softHsm.writeKey({ label: 'sigild:audit', id, value: Buffer.alloc(32, 1), sensitive: true });
    const forged = new LogMaker(undefined, id).start();

    const run = await verify([file('audit.log', forged.bytes())]);

    expect(run.exitCode).toBe(2);
    expect(run.stdout).toContain('the token does not hold the audit key with id b0b0');
  });

  test('takes a newest seal from no public object, which anybody can make', async () => {
    const log = new LogMaker(makeMac).start();
    keepHead(token, log.log, { seq: 99, hash: '0'.repeat(64) }, false);

    const run = await verify([file('audit.log', log.bytes())]);

    expect(run.exitCode).toBe(0);
    expect(run.stdout).toContain('not proven: the end: the token keeps no newest seal of this log');
  });

  test('says which lines come after the last seal', async () => {
    const running = sealedLog().start().end().end();

    const run = await verify([file('audit.log', running.bytes())]);

    expect(run.exitCode).toBe(0);
    expect(run.stdout).toContain('not proven: seq 14 to 15, which come after the last seal');
  });

  test('goes on from the end that an earlier run has printed', async () => {
    const [newer = ''] = files;
    const end = `6:${hashOf(maker.lines[5] ?? '')}`;

    expect((await verify([newer])).stdout).toContain('seq 1 to 6 are missing');
    expect((await verify([newer], '--after', end)).exitCode).toBe(0);
    expect((await verify(files, '--expect', end)).exitCode).toBe(0);
    expect((await verify(files, '--expect', end.replace('6:', '7:'))).exitCode).toBe(2);
  });

  test('takes the PIN from a descriptor', async () => {
    const descriptor = openSync(softHsm.pinFile, 'r');
    const run = await sigilctl(
      [
        'audit',
        'verify',
        ...files,
        '--module',
        softHsm.module,
        '--label',
        'audited',
        '--pin-fd',
        '3',
      ],
      { environment: softHsm.environment, descriptors: [descriptor] },
    );
    closeSync(descriptor);

    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
  });

  test('leaves the token as it was', async () => {
    const before = softHsm.pkcs11Tool('--list-objects');

    await verify(files);

    expect(softHsm.pkcs11Tool('--list-objects')).toBe(before);
  });
});

describe('audit verify --chain-only', () => {
  test('says plainly that this is no proof', async () => {
    const run = await sigilctl(['audit', 'verify', ...files, '--chain-only']);

    expect(run.exitCode).toBe(0);
    expect(run.stdout).toMatch(/^the chain is whole; NOT PROVEN by any seal\n/);
    expect(run.stdout).toContain('not proven: that a daemon wrote these lines');
    expect(run.stdout).toContain('not proven: that no lines are missing at the end');
  });

  test('finds what breaks the chain', async () => {
    const name = file('audit.log', fileOf(maker.lines.toSpliced(3, 1)));

    const run = await sigilctl(['audit', 'verify', name, '--chain-only', '-o', 'json']);

    expect(run.exitCode).toBe(2);
    expect(JSON.parse(run.stdout)).toMatchObject({
      ...{ whole: false, checked: 'chain', problem: { kind: 'removed', line: 4, seq: 5 } },
    });
  });
});

describe('a command line that does not say how to prove', () => {
  test.each([
    ['no token', [], '--module is not given'],
    ['a PIN without a token', ['--pin-file', 'pin'], '--module is not given'],
    ['a module without a token', ['--module', '/m.so'], '--label is not given'],
    [
      'a token that is not to be asked',
      ['--module', '/m.so', '--chain-only'],
      'cannot be used with',
    ],
    ['an end without its hash', ['--chain-only', '--expect', '11'], 'SEQ:HASH'],
  ])('is refused: %s', async (_, options, message) => {
    const run = await sigilctl(['audit', 'verify', ...files, ...options]);

    expect(run).toMatchObject({ exitCode: 64, stdout: '' });
    expect(run.stderr).toContain(message);
  });

  test('as is a file that is not there', async () => {
    const run = await sigilctl(['audit', 'verify', '/nowhere/audit.log', '--chain-only']);

    expect(run).toMatchObject({ exitCode: 64, stdout: '' });
    expect(run.stderr).toContain('/nowhere/audit.log cannot be read');
  });

  test('as is a wrong PIN, which is tried once', async () => {
    const pinFile = join(softHsm.directory, 'wrong-pin');
    writeFileSync(pinFile, 'wrong-pin\n', { mode: 0o600 });

    const run = await verify(files, '--pin-file', pinFile);

    expect(run).toMatchObject({ exitCode: 77, stdout: '' });
    expect(readFileSync(files[0] ?? '')).toEqual(maker.bytes(6));
  });
});

function file(name: string, bytes: Buffer): string {
  const path = join(softHsm.directory, name);
  writeFileSync(path, bytes);
  return path;
}

function verify(names: readonly string[], ...options: readonly string[]) {
  const { module, label, pinFile, environment } = softHsm;
  const pin = options.includes('--pin-file') ? [] : ['--pin-file', pinFile];
  const args = ['--module', module, '--label', label, ...pin, ...options];
  return sigilctl(['audit', 'verify', ...names, ...args], { environment });
}
