import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { EXIT_CODES } from '../../src/lifecycle/exit-codes.ts';
import { load, MINIMAL, problemsOf } from '../support/config-file.ts';

const run = promisify(execFile);

const SERVICES = ['sigild.service', 'sigild@.service'];
const UNITS = [...SERVICES, 'sigild.socket'];

/** In tenths, as systemd-analyze counts. */
const MOST_EXPOSURE = 20;

const CREDENTIALS = { CREDENTIALS_DIRECTORY: '/run/credentials/sigild.service' };

function shipped(file: string): string {
  return fileURLToPath(new URL(`../../systemd/${file}`, import.meta.url));
}

function read(file: string): string {
  return readFileSync(shipped(file), 'utf8');
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'units-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** What a unit sets a directive to. */
function setting(unit: string, directive: string): string | undefined {
  return new RegExp(`^${directive}=(.*)$`, 'm').exec(unit)?.[1];
}

/** The example with each setting that it shows in a comment, but for alternatives of the token. */
function uncommented(example: string): string {
  return example
    .replace(/^( *)# ( *(?:(?:- )?[a-zA-Z]+:(?: .*)?|- [A-Z0-9_]+))$/gm, '$1$2')
    .replace(/^ *(?:serial|uri|pinFile): .*$/gm, '');
}

describe('the units', () => {
  test('are accepted by systemd-analyze verify without a warning', async () => {
    const folder = temporaryFolder();
    for (const unit of UNITS) {
      // Only the program is looked for, which need not be at that place here.
      writeFileSync(join(folder, unit), read(unit).replaceAll('/usr/bin/node', process.execPath));
    }

    const { stderr } = await run('systemd-analyze', [
      'verify',
      '--man=no',
      ...UNITS.map((unit) => join(folder, unit)),
    ]);

    // systemd may have something to say of the machine's own units.
    expect(stderr.split('\n').filter((line) => line.includes('sigild'))).toEqual([]);
  });

  test.each(SERVICES)('leave %s little of the machine', async (unit) => {
    const analysis = run('systemd-analyze', [
      'security',
      '--offline=true',
      '--no-pager',
      `--threshold=${MOST_EXPOSURE}`,
      shipped(unit),
    ]);

    await expect(analysis).resolves.toMatchObject({
      stdout: expect.stringMatching(/Overall exposure level .*: [01]\.\d/),
    });
  });

  test('differ between one daemon and one of several in their files alone', () => {
    const several = read('sigild@.service');

    const one = several
      .slice(several.indexOf('[Unit]'))
      .replace('the PKCS#11 token of %i', 'their PKCS#11 token')
      .replace('/etc/sigild/%i.yaml', '/etc/sigild/config.yaml')
      .replace('/etc/sigild/%i.pin', '/etc/sigild/pin')
      .replaceAll('sigild-%i', 'sigild');

    expect(one).toBe(read('sigild.service'));
  });

  test('start again after no exit that a start cannot mend', () => {
    const codes = setting(read('sigild.service'), 'RestartPreventExitStatus');

    expect(codes?.split(' ').map(Number)).toEqual([
      EXIT_CODES.USAGE,
      EXIT_CODES.WRONG_PIN,
      EXIT_CODES.CONFIGURATION,
    ]);
  });

  test.each([
    ['TimeoutStartSec', 'token', 'startTimeoutMs'],
    ['TimeoutStopSec', 'shutdown', 'drainTimeoutMs'],
  ])('wait longer by %s than any configuration can make the daemon take', (directive, map, key) => {
    const seconds = Number(setting(read('sigild.service'), directive));
    const text =
      map === 'token'
        ? MINIMAL.replace('token:', `token:\n  ${key}: ${seconds * 1_000}`)
        : `${MINIMAL}${map}: { ${key}: ${seconds * 1_000} }\n`;

    expect(problemsOf(text)).toEqual([
      expect.stringContaining(`${map}.${key}: must be an integer`),
    ]);
  });

  test('pass the socket by the name that the example listens on', () => {
    const name = setting(read('sigild.socket'), 'FileDescriptorName');

    const config = load(uncommented(read('config.example.yaml')), CREDENTIALS);

    expect(config.listeners.map(({ address }) => address)).toContainEqual({
      kind: 'systemd',
      name,
    });
  });

  test('name a user and a group that sysusers makes, the one a member of the other', async () => {
    const root = temporaryFolder();
    mkdirSync(join(root, 'etc'));
    const file = join(root, 'sigild.conf');
    copyFileSync(shipped('sigild.sysusers'), file);

    await run('systemd-sysusers', [`--root=${root}`, file]);

    const user = setting(read('sigild.service'), 'User');
    const group = setting(read('sigild.socket'), 'SocketGroup');
    expect(readFileSync(join(root, 'etc/passwd'), 'utf8')).toMatch(new RegExp(`^${user}:`, 'm'));
    expect(readFileSync(join(root, 'etc/group'), 'utf8')).toMatch(
      new RegExp(`^${group}:[^:]*:\\d+:${user}$`, 'm'),
    );
  });
});

describe('the example configuration', () => {
  test('loads', () => {
    const config = load(read('config.example.yaml'), CREDENTIALS);

    expect(config.token.pin.file).toBe('/run/credentials/sigild.service/pin');
  });

  test('shows defaults in its comments', () => {
    const example = read('config.example.yaml');
    const shown = load(uncommented(example), CREDENTIALS);
    const { token, ...settings } = load(example, CREDENTIALS);

    expect(shown).toEqual({
      ...settings,
      token: { ...token, adopt: [{ label: 'legacy-*', algorithm: 'HMAC_SHA256' }] },
      listeners: expect.arrayContaining([...settings.listeners]),
      clients: [
        {
          ...{ name: 'backend' },
          grants: [{ ...settings.clients[0]?.grants[0], expiresAtMs: Date.UTC(2100, 0, 1) }],
          limits: { maxInFlight: 256, callsPerSecond: 500, callsPerDay: 1_000_000 },
        },
      ],
      // Nothing is limited but where it is said.
      limits: {
        ...settings.limits,
        rates: {
          ...{ callsPerSecond: 20_000, callBurst: 40_000, callsPerDay: 500_000_000 },
          ...{ bytesPerSecond: 50_000_000, byteBurst: 100_000_000 },
        },
        ratesPerClient: { callsPerSecond: 2_000 },
      },
      metrics: { listen: { kind: 'tcp', host: '127.0.0.1', port: 9_464 } },
    });
    expect(shown.listeners).toHaveLength(5);
  });
});
