import { spawnSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { load, MINIMAL } from '../support/config-file.ts';
import { startHostedToken } from '../support/hosted-token.ts';
import { createSoftHsm, pkcs11Spy, type SoftHsm } from '../support/softhsm.ts';
import { sigilctl, sigilctlOnTerminal } from './admin-sigilctl.ts';

const SO_PIN = 'so-pin-5309';
const USER_PIN = 'user-pin-8675';

let softHsm: SoftHsm;
let soPinFile = '';
let pinFile = '';

beforeEach(() => {
  softHsm = createSoftHsm('old');
  soPinFile = file('so-pin', `${SO_PIN}\n`);
  pinFile = file('user-pin', `${USER_PIN}\n`);
});

afterEach(() => softHsm.remove());

describe('token init', () => {
  test('makes a token that the user PIN opens, and prints what the daemon needs', async () => {
    const run = await init('prod', '--so-pin-file', soPinFile, '--pin-file', pinFile);

    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    const printed = run.stdout.slice(run.stdout.indexOf('token:\n'));
    const withToken = printed + MINIMAL.slice(MINIMAL.indexOf('listeners:'));
    expect(load(withToken).token).toMatchObject({
      module: softHsm.module,
      selector: { label: 'prod' },
      pin: { file: pinFile, credential: false },
    });
    expect(opens('prod', USER_PIN)).toBe(true);
  });

  test('prints a JSON document for programs', async () => {
    const run = await init('prod', '--so-pin-file', soPinFile, '--pin-file', pinFile, '-o', 'json');

    expect(run.exitCode).toBe(0);
    expect(JSON.parse(run.stdout)).toEqual({
      label: 'prod',
      serial: expect.stringMatching(/^[0-9a-f]{16}$/),
      module: softHsm.module,
      pinFile,
    });
  });

  test('gives back the label as it was given, up to 32 bytes of UTF-8', async () => {
    const label = 'ü'.repeat(16);

    await init(label, '--so-pin-file', soPinFile, '--pin-file', pinFile);

    expect(await labels()).toContain(label);
  });

  test('refuses a label that another token has, and leaves that token alone', async () => {
    const run = await init('old', '--so-pin-file', soPinFile, '--pin-file', pinFile);

    expect(run).toMatchObject({ exitCode: 1, stdout: '' });
    expect(run.stderr).toMatch(
      /^sigilctl: a token labelled "old" exists already .*\(TOKEN_EXISTS\)$/m,
    );
    expect(opens('old', softHsm.pin)).toBe(true);
    expect(await labels()).toEqual(['old', '']);
  });

  test.each([
    ['more than 32 bytes', 'ü'.repeat(17)],
    ['nothing', ''],
    ['a blank at its end', 'prod '],
    ['a control character', 'pr\tod'],
  ])('refuses a label of %s', async (_, label) => {
    const run = await init(label, '--so-pin-file', soPinFile, '--pin-file', pinFile);

    expect(run.exitCode).toBe(64);
    expect(run.stderr).toContain('(USAGE)');
  });

  test('reads both PINs from one descriptor, one a line', async () => {
    const both = openSync(file('both', `${SO_PIN}\n${USER_PIN}\n`), 'r');

    const run = await sigilctl(initArguments('prod', '--so-pin-fd', '3', '--pin-fd', '3'), {
      environment: softHsm.environment,
      descriptors: [both],
    });
    closeSync(both);

    expect(run.exitCode).toBe(0);
    expect(opens('prod', USER_PIN)).toBe(true);
  });

  test.each([
    ['a descriptor that is closed', ['--so-pin-fd', '9', '--pin-fd', '9'], 'descriptor 9'],
    ['a file that is missing', ['--so-pin-file', '/missing', '--pin-file', '/missing'], '/missing'],
  ])('refuses %s and makes nothing', async (_, args, named) => {
    const run = await init('prod', ...args);

    expect(run.exitCode).toBe(78);
    expect(run.stderr).toContain(named);
    expect(await labels()).toEqual(['old', '']);
  });

  test('refuses a PIN file that others can read, and makes nothing', async () => {
    const open = file('open', `${USER_PIN}\n`, 0o644);

    const run = await init('prod', '--so-pin-file', soPinFile, '--pin-file', open);

    expect(run.exitCode).toBe(78);
    expect(run.stderr).toContain(`PIN file ${open} can be read by others`);
    expect(await labels()).toEqual(['old', '']);
  });

  test('refuses a PIN that is too short for the token, and makes nothing', async () => {
    const short = file('short', '123\n');

    const run = await init('prod', '--so-pin-file', soPinFile, '--pin-file', short);

    expect(run.exitCode).toBe(78);
    expect(run.stderr).toContain('the user PIN has 3 bytes; this token takes 4 to 255');
    expect(await labels()).toEqual(['old', '']);
  });

  test('refuses two sources of one PIN', async () => {
    const run = await init('prod', '--so-pin-file', soPinFile, '--so-pin-fd', '3');

    expect(run.exitCode).toBe(64);
  });

  test('does not repeat what stands in an option that does not exist', async () => {
    const run = await init('prod', `--pin=${USER_PIN}`);

    expect(run).toMatchObject({ exitCode: 64, stdout: '' });
    expect(run.stderr).not.toContain(USER_PIN);
  });

  test('asks for nothing where there is no terminal', async () => {
    const run = await init('prod');

    expect(run.exitCode).toBe(64);
    expect(run.stderr).toContain('no terminal');
  });
});

describe('token init on a terminal', () => {
  const DIALOGUE = [
    ['New SO PIN: ', `${SO_PIN}\r`],
    ['New SO PIN, again: ', `${SO_PIN}\r`],
    ['New user PIN: ', `wrong\u0015${USER_PIN}x\u007f\r`],
    ['New user PIN, again: ', `${USER_PIN}\r`],
  ] as const;

  test('asks for both PINs twice and shows neither', () => {
    const run = sigilctlOnTerminal(initArguments('prod'), softHsm.environment, DIALOGUE);

    expect(run.exitCode).toBe(0);
    expect(opens('prod', USER_PIN)).toBe(true);
    for (const secret of [SO_PIN, USER_PIN]) {
      expect(run.transcript).not.toContain(secret);
      expect(run.visible).not.toContain(secret);
    }
    expect(run.visible).toContain('prod');
    expect(run.echoes).toBe(true);
  });

  test('takes answers that are pasted at once', () => {
    const pasted = `${SO_PIN}\r${SO_PIN}\r${USER_PIN}\r${USER_PIN}\r`;

    const run = sigilctlOnTerminal(initArguments('prod'), softHsm.environment, [
      ['New SO PIN: ', pasted],
    ]);

    expect(run.exitCode).toBe(0);
    expect(opens('prod', USER_PIN)).toBe(true);
  });

  test('makes nothing when the two answers differ', async () => {
    const run = sigilctlOnTerminal(initArguments('prod'), softHsm.environment, [
      ['New SO PIN: ', `${SO_PIN}\r`],
      ['New SO PIN, again: ', `${USER_PIN}\r`],
    ]);

    expect(run).toMatchObject({ exitCode: 64, echoes: true });
    expect(await labels()).toEqual(['old', '']);
  });

  test('Ctrl-C makes nothing and leaves the terminal as it was', async () => {
    const run = sigilctlOnTerminal(initArguments('prod'), softHsm.environment, [
      ['New SO PIN: ', `${SO_PIN}\u0003`],
    ]);

    expect(run).toMatchObject({ exitCode: 1, echoes: true });
    expect(await labels()).toEqual(['old', '']);
  });

  test('reads no PIN from a descriptor that is a terminal', () => {
    const run = sigilctlOnTerminal(
      initArguments('prod', '--so-pin-fd', '0', '--pin-fd', '0'),
      softHsm.environment,
      [],
    );

    expect(run.exitCode).toBe(64);
    expect(run.transcript).toContain('it is a terminal');
  });
});

describe('token list', () => {
  test('lists initialised and empty tokens with the state of their user PINs', async () => {
    const run = await list('-o', 'json');

    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(JSON.parse(run.stdout)).toEqual({
      tokens: [
        {
          label: 'old',
          serial: expect.stringMatching(/^[0-9a-f]{16}$/),
          manufacturer: 'SoftHSM project',
          model: 'SoftHSM v2',
          initialized: true,
          userPinSet: true,
          userPinCountLow: false,
          userPinFinalTry: false,
          userPinLocked: false,
        },
        expect.objectContaining({ label: '', initialized: false, userPinSet: false }),
      ],
    });
  });

  test('shows that a wrong PIN was tried', async () => {
    expect(opens('old', USER_PIN)).toBe(false);

    const run = await list();

    expect(run.stdout).toMatch(/^old .* yes +count low$/m);
  });

  test.each([
    ['is missing', '/usr/lib/no-such-module.so'],
    ['is no library', '/etc/hostname'],
  ])('a module that %s ends with 78', async (_, module) => {
    const run = await sigilctl(['token', 'list', '--module', module]);

    expect(run).toMatchObject({ exitCode: 78, stdout: '' });
    expect(run.stderr).toContain(module);
  });
});

describe('token info', () => {
  test('tells limits and algorithms without a PIN', async () => {
    const run = await info('old', '-o', 'json');

    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(JSON.parse(run.stdout)).toMatchObject({
      label: 'old',
      userPinSet: true,
      hardwareVersion: expect.stringMatching(/^\d+\.\d+$/),
      minPinBytes: 4,
      maxPinBytes: 255,
      sessions: {},
      memory: {},
      algorithms: expect.arrayContaining([
        {
          algorithm: 'HMAC_SHA256',
          mechanism: 'CKM_SHA256_HMAC',
          sign: true,
          verify: true,
          create: true,
          minKeySize: 32,
          maxKeySize: 512,
        },
      ]),
    });
  });

  test('shows the same to people', async () => {
    const run = await info('old');

    expect(run.stdout).toMatch(/^user PIN +set$/m);
    expect(run.stdout).toMatch(/^sessions +no limit reported$/m);
    expect(run.stdout).toMatch(/^HMAC_SHA512 +CKM_SHA512_HMAC +yes +yes +yes +64 to 512$/m);
  });

  test('a label that no token has ends with 69 and tells which are there', async () => {
    const run = await info('prod');

    expect(run.exitCode).toBe(69);
    expect(run.stderr).toMatch(/no token has label "prod"; .*"old".* \(TOKEN_UNAVAILABLE\)/);
  });

  test('a label that two tokens have needs a serial number', async () => {
    softHsm.addToken('old');
    const { tokens } = JSON.parse((await list('-o', 'json')).stdout);
    const { serial } = tokens[1];

    const ambiguous = await info('old');
    const named = await info('old', '--serial', serial, '-o', 'json');

    expect(ambiguous.exitCode).toBe(78);
    expect(ambiguous.stderr).toContain(serial);
    expect(JSON.parse(named.stdout)).toMatchObject({ label: 'old', serial });
  });
});

describe('what token info tells of attributes', () => {
  test('with a PIN is which ones the token enforces, and nothing stays on it', async () => {
    const before = softHsm.pkcs11Tool('--list-objects');

    const run = await info('old', '--pin-file', softHsm.pinFile);
    const json = await info('old', '--pin-file', softHsm.pinFile, '-o', 'json');

    expect(run.stdout).toMatch(/^CKA_COPYABLE +yes +C_CopyObject failed with /m);
    expect(JSON.parse(json.stdout).attributes).toContainEqual({
      attribute: 'CKA_ALLOWED_MECHANISMS',
      enforced: true,
      found: expect.stringContaining('CKR_MECHANISM_INVALID'),
    });
    expect(softHsm.pkcs11Tool('--list-objects')).toBe(before);
  });

  test('without a PIN is nothing', async () => {
    const run = await info('old', '-o', 'json');

    expect(JSON.parse(run.stdout)).not.toHaveProperty('attributes');
  });
});

describe('what token info tells of warm keys', () => {
  const MEASURED = /measured [0-9.]+ µs a MAC with a copy, [0-9.]+ µs with the key/;

  /** Lets a daemon's host start on the token once, which makes the key to measure with. */
  async function useOnce(): Promise<void> {
    const token = await startHostedToken(softHsm, { hosts: 1 });
    await token.close(2_000);
  }

  test('without a PIN is how to have it measured', async () => {
    const run = await info('old');
    const { warmKeys } = JSON.parse((await info('old', '-o', 'json')).stdout);

    expect(run.stdout).toMatch(/^warm keys +not measured \(.*--pin-file.*\)$/m);
    expect(warmKeys).toEqual({ why: expect.stringContaining('--pin-file') });
  });

  test('with a PIN is what a host decides at its start, and why', async () => {
    await useOnce();

    const run = await info('old', '--pin-file', softHsm.pinFile);
    const json = await info('old', '--pin-file', softHsm.pinFile, '-o', 'json');

    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    expect(run.stdout).toMatch(new RegExp(`^warm keys +(on|off) \\(${MEASURED.source}\\)$`, 'm'));
    expect(JSON.parse(json.stdout).warmKeys).toEqual({
      inUse: expect.any(Boolean),
      why: expect.stringMatching(MEASURED),
    });
  });

  test('leaves on the token what was there', async () => {
    await useOnce();
    const before = softHsm.pkcs11Tool('--list-objects');

    await info('old', '--pin-file', softHsm.pinFile);

    expect(before).toContain('sigild:canary');
    expect(softHsm.pkcs11Tool('--list-objects')).toBe(before);
  });

  test('is not measured on a token that no daemon has used, which stays as it is', async () => {
    const before = softHsm.pkcs11Tool('--list-objects');

    const run = await info('old', '--pin-file', softHsm.pinFile);

    expect(run.exitCode).toBe(0);
    expect(run.stdout).toMatch(
      /^warm keys +not measured \(there is no key to measure with; a daemon/m,
    );
    expect(softHsm.pkcs11Tool('--list-objects')).toBe(before);
  });

  test('with a wrong PIN ends with 77 after one try', async () => {
    const spy = pkcs11Spy(softHsm);
    softHsm.writePin(USER_PIN);

    const run = await sigilctl(
      ['token', 'info', '--module', spy.module, '--label', 'old', '--pin-file', softHsm.pinFile],
      { environment: spy.environment },
    );

    expect(run).toMatchObject({ exitCode: 77, stdout: '' });
    expect(run.stderr).toContain('(WRONG_PIN)');
    expect(run.stderr).not.toContain(USER_PIN);
    expect(spy.log().match(/C_Login/g)).toHaveLength(1);
  });

  test('with a PIN from a descriptor is the same as with one from a file', async () => {
    const pin = openSync(softHsm.pinFile, 'r');

    const run = await sigilctl(infoArguments('old', '--pin-fd', '3'), {
      environment: softHsm.environment,
      descriptors: [pin],
    });
    closeSync(pin);

    expect(run.stdout).toContain('no key to measure with');
  });

  test('asks for the PIN on a terminal with --login, once, and does not show it', () => {
    const run = sigilctlOnTerminal(infoArguments('old', '--login'), softHsm.environment, [
      ['User PIN: ', `${softHsm.pin}\r`],
    ]);

    expect(run).toMatchObject({ exitCode: 0, echoes: true });
    expect(run.transcript).toContain('no key to measure with');
    expect(run.transcript).not.toContain(softHsm.pin);
    expect(run.visible).not.toContain(softHsm.pin);
  });

  test('says where else a PIN may come from where --login finds no terminal', async () => {
    const run = await info('old', '--login');

    expect(run.exitCode).toBe(64);
    expect(run.stderr).toMatch(/no terminal.*\n.*--pin-file/);
  });
});

function file(name: string, content: string, mode = 0o600): string {
  const path = join(softHsm.directory, name);
  writeFileSync(path, content, { mode });
  return path;
}

function initArguments(label: string, ...args: readonly string[]): string[] {
  return ['token', 'init', '--label', label, '--module', softHsm.module, ...args];
}

function init(label: string, ...args: readonly string[]) {
  return sigilctl(initArguments(label, ...args), { environment: softHsm.environment });
}

function list(...args: readonly string[]) {
  return sigilctl(['token', 'list', '--module', softHsm.module, ...args], {
    environment: softHsm.environment,
  });
}

function infoArguments(label: string, ...args: readonly string[]): string[] {
  return ['token', 'info', '--module', softHsm.module, '--label', label, ...args];
}

function info(label: string, ...args: readonly string[]) {
  return sigilctl(infoArguments(label, ...args), { environment: softHsm.environment });
}

async function labels(): Promise<readonly string[]> {
  const { tokens } = JSON.parse((await list('-o', 'json')).stdout);
  return tokens.map(({ label }: { readonly label: string }) => label);
}

/** Whether another tool can log in to the token. */
function opens(label: string, pin: string): boolean {
  const { status } = spawnSync(
    'pkcs11-tool',
    ['--module', softHsm.module, '--token-label', label, '--login', '--pin', pin, '--list-objects'],
    { env: softHsm.environment },
  );
  return status === 0;
}
