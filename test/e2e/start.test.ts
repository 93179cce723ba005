import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { EXIT_CODES } from '../../src/lifecycle/exit-codes.ts';
import { baseConfig, runDaemonToEnd, runSigild, spawnDaemon } from '../support/daemon.ts';
import { processTree } from '../support/processes.ts';
import { createSoftHsm, pkcs11Spy, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

function newSoftHsm(): SoftHsm {
  const softHsm = createSoftHsm();
  onTestFinished(() => softHsm.remove());
  return softHsm;
}

/** @returns the new file's path */
function write({ directory }: SoftHsm, name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
}

/** A configuration whose token has other settings. */
function tokenWith(softHsm: SoftHsm, settings: object) {
  return { config: { token: { ...(baseConfig(softHsm)['token'] as object), ...settings } } };
}

describe('the command line', () => {
  test('--version prints the version of the package', async () => {
    const file = new URL('../../package.json', import.meta.url);
    const { version } = JSON.parse(readFileSync(file, 'utf8'));

    const run = await runSigild(['--version']);

    expect(run).toEqual({ exit: 0, stdout: `sigild ${version}\n`, stderr: '' });
  });

  test('--help prints how to call it and every exit code', async () => {
    const { exit, stdout, stderr } = await runSigild(['--help']);

    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    expect(stdout).toMatch(/^Usage: sigild --config FILE \[--check-config \| --allow-root\]$/m);
    const codes = [...stdout.matchAll(/^ {2}(\d+) /gm)].map(([, code]) => Number(code));
    expect(codes).toEqual(Object.values(EXIT_CODES));
  });

  test.each([
    ['an option that does not exist', ['--configuration', 'config.yaml']],
    ['an argument', ['--config', 'config.yaml', 'start']],
    ['an option without its value', ['--config']],
    ['no option', []],
  ])('%s ends with 64 and points to the help', async (_, args) => {
    const { exit, stdout, stderr } = await runSigild(args);

    expect({ exit, stdout }).toEqual({ exit: 64, stdout: '' });
    expect(stderr).toMatch(/^sigild: .*see sigild --help\n$/);
  });

  test('does not repeat what stands in an option that does not exist', async () => {
    const { stderr } = await runSigild(['--pin=hunter2']);

    expect(stderr).toContain('--pin');
    expect(stderr).not.toContain('hunter2');
  });

  test('an environment that would send inner errors to clients ends with 78', async () => {
    const softHsm = newSoftHsm();
    const config = write(softHsm, 'config.yaml', JSON.stringify(baseConfig(softHsm)));
    const variable = 'GRPC_NODE_DEBUG_SEND_ERROR_DETAILS';

    const { exit, stderr } = await runSigild(['--config', config], {
      ...softHsm.environment,
      [variable]: '1',
    });

    expect(exit).toBe(78);
    expect(stderr).toContain(variable);
  });
});

test('root is refused, and told what to do', async ({ annotate }) => {
  const softHsm = newSoftHsm();
  const config = write(softHsm, 'config.yaml', JSON.stringify(baseConfig(softHsm)));
  // Who is not root becomes it in a user namespace, where there may be any.
  if (process.getuid?.() !== 0) return void annotate('nothing tried: this is not root');

  const { exit, stdout, stderr } = await runSigild(['--config', config]);

  expect({ exit, stdout }).toEqual({ exit: 78, stdout: '' });
  expect(stderr).toContain('--allow-root');
});

describe('--check-config', () => {
  test('says that a right configuration is right', async () => {
    const softHsm = newSoftHsm();
    const config = write(softHsm, 'config.yaml', JSON.stringify(baseConfig(softHsm)));

    const run = await runSigild(['--config', config, '--check-config']);

    expect(run).toEqual({
      exit: 0,
      stdout: `${config}: the configuration is right\n`,
      stderr: '',
    });
  });

  test('tells every problem of a wrong one, each with its place', async () => {
    const config = write(
      newSoftHsm(),
      'config.yaml',
      [
        'token:',
        '  module: libsofthsm2.so',
        '  label: prod',
        '  pinFile: /etc/sigild/pin',
        'listeners:',
        '  - tcp: 0.0.0.0:7400',
        '    plaintext: true',
        '    client: nobody',
        'clients:',
        '  - name: backend',
        '    grants: [{ keys: ["*"], operations: [signs] }]',
        'limits:',
        '  maxDataBytes: 0',
        '  maxBytes: 1',
      ].join('\n'),
    );

    const { exit, stdout, stderr } = await runSigild(['--config', config, '--check-config']);

    expect({ exit, stdout }).toEqual({ exit: 78, stdout: '' });
    const problems = stderr.trimEnd().split('\n');
    expect(problems).toEqual(problems.filter((problem) => problem.startsWith(`${config}:`)));
    expect(problems.map((problem) => problem.slice(`${config}:`.length))).toEqual([
      '2:11: token.module: must be an absolute path',
      expect.stringMatching(/^6:10: listeners\[0\]\.tcp: plaintext is for loopback/),
      expect.stringMatching(/^8:13: listeners\[0\]\.client: no entry of clients has this name/),
      expect.stringMatching(/^11:42: clients\[0\]\.grants\[0\]\.operations\[0\]: must be one of/),
      '13:17: limits.maxDataBytes: must be an integer from 1 to 16777216',
      expect.stringMatching(/^14:3: limits\.maxBytes: unknown key; allowed here: maxDataBytes,/),
    ]);
  });

  test('names a file that is not there', async () => {
    const { exit, stderr } = await runSigild(['--config', '/no/config.yaml', '--check-config']);

    expect(exit).toBe(78);
    expect(stderr).toMatch(/^\/no\/config\.yaml: cannot be read: ENOENT/);
  });
});

describe('a start that cannot succeed ends and says what was found, for', () => {
  type Case = [
    what: string,
    /** Makes what is wrong. @returns the token's settings that lead there */
    settings: (softHsm: SoftHsm) => object,
    exit: number,
    message: RegExp,
  ];
  const cases: Case[] = [
    [
      'a missing module',
      () => ({ module: '/no/module.so' }),
      78,
      /^PKCS#11 module \/no\/module\.so cannot be read: ENOENT.*check token\.module$/m,
    ],
    [
      'a module that is no library',
      (softHsm) => ({ module: write(softHsm, 'module.so', 'text') }),
      78,
      /^PKCS#11 module .*\/module\.so cannot be loaded: .*is it a PKCS#11 library/m,
    ],
    [
      'a label that no token has',
      () => ({ label: 'prod' }),
      69,
      /^no token has label "prod"; tokens found in .*: "test" \(serial [0-9a-f]+, SoftHSM v2\)$/m,
    ],
    [
      'a label that two tokens have',
      (softHsm) => {
        softHsm.addToken(softHsm.label);
        return {};
      },
      78,
      /^2 tokens have label "test": name one by its serial; .*("test" \(serial .*){2}$/m,
    ],
    [
      'a PIN file that is not there',
      () => ({ pinFile: '/no/pin' }),
      78,
      /^PIN file \/no\/pin cannot be read: ENOENT/m,
    ],
    [
      'an empty PIN file',
      (softHsm) => ({ pinFile: write(softHsm, 'empty', '') }),
      78,
      /^PIN file .*\/empty is empty$/m,
    ],
    [
      'a PIN file that others may read',
      (softHsm) => {
        softHsm.writePin(softHsm.pin, 0o640);
        return {};
      },
      78,
      /^PIN file .*\/pin can be read by others \(mode 640\): run chmod 600 on it/m,
    ],
  ];

  test.each(cases)('%s', async (_, settings, expected, message) => {
    const softHsm = newSoftHsm();

    const { exit, stderr, log } = await runDaemonToEnd(
      softHsm,
      tokenWith(softHsm, settings(softHsm)),
    );

    expect(stderr).toMatch(message);
    expect(exit).toBe(expected);
    expect(log.filter(({ level }) => level === 'info').map(({ msg }) => msg)).toEqual(['starting']);
    expect(existsSync(join(softHsm.directory, 'sigild.sock'))).toBe(false);
  });
});

test('a wrong PIN is tried once, and the message says what to do', async () => {
  const softHsm = newSoftHsm();
  const spy = pkcs11Spy(softHsm);
  const wrongPin = `${softHsm.pin}-wrong`;
  softHsm.writePin(wrongPin);

  const { exit, stderr, log } = await runDaemonToEnd(softHsm, {
    ...tokenWith(softHsm, { module: spy.module, hosts: 4 }),
    environment: spy.environment,
  });

  expect(exit).toBe(77);
  expect(spy.log().match(/^\d+: C_Login$/gm)).toHaveLength(1);
  expect(stderr).toMatch(/the token refused the PIN .*: put the right PIN in place, then start/);
  expect(stderr + JSON.stringify(log)).not.toContain(wrongPin);
});

test('SIGTERM during the start ends the daemon and its hosts', async () => {
  const softHsm = newSoftHsm();
  const pinFile = join(softHsm.directory, 'pin-pipe');
  execFileSync('mkfifo', ['-m', '600', pinFile]);
  const daemon = spawnDaemon(softHsm, tokenWith(softHsm, { pinFile }));
  const pids = () => processTree(daemon.process.pid as number);
  // The first host waits for its PIN.
  await until(() => pids().length === 2);
  const started = pids();

  daemon.process.kill('SIGTERM');
  await until(() => daemon.logLines.some(({ msg }) => msg === 'stopping'));
  const pipe = openSync(pinFile, constants.O_RDWR);
  writeSync(pipe, `${softHsm.pin}\n`);
  const exit = await daemon.exited;
  closeSync(pipe);

  expect({ exit, stderr: daemon.stderr() }).toEqual({ exit: 0, stderr: '' });
  expect(started.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
  expect(existsSync(join(softHsm.directory, 'sigild.sock'))).toBe(false);
});
