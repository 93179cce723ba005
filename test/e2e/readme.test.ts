import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Checkout, copyCheckout } from '../support/checkout.ts';
import { processesIn } from '../support/processes.ts';
import { CODE_BLOCKS } from '../support/readme.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

const ROOT = join(import.meta.dirname, '../..');

/** A checkout whose npm packages are not those that the scripts installed gets them anew. */
const SET_UP_LIMIT_MS = 300_000;
const BLOCK_LIMIT_MS = 120_000;
vi.setConfig({ testTimeout: BLOCK_LIMIT_MS, hookTimeout: SET_UP_LIMIT_MS });

const [dev, everyTest, firstSteps, ...others] = CODE_BLOCKS.filter(
  ({ language }) => language === 'sh',
);
const [installation, ...otherConsoles] = CODE_BLOCKS.filter(
  ({ language }) => language === 'console',
);

let checkout: Checkout;
let softHsm: SoftHsm;
let environment: NodeJS.ProcessEnv;
let daemon: DevDaemon;

beforeAll(async () => {
  checkout = copyCheckout();
  softHsm = createSoftHsm();
  environment = {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !isOfThisRun(name))),
    BUF_CACHE_DIR: join(softHsm.directory, 'buf'),
    npm_config_logs_dir: join(softHsm.directory, 'npm-logs'),
    npm_config_update_notifier: 'false',
  };
  daemon = await startDev();
});

afterAll(async () => {
  await daemon?.end('SIGKILL');
  checkout?.remove();
  softHsm?.remove();
});

/** What the test runner tells the programs that it starts, and users have not set. */
function isOfThisRun(variable: string): boolean {
  return /^(VITEST|NODE_ENV$|TEST$|DEV$|PROD$|MODE$|SSR$|BASE_URL$|SIGILD_|npm_)/.test(variable);
}

/** What the README's first command runs, in a terminal of its own. */
interface DevDaemon {
  /** The lines that it prints to be pasted. */
  readonly linesToPaste: readonly string[];
  /** Sends a signal to all its processes, as a terminal does. @returns what ended it */
  end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals>;
}

async function startDev(): Promise<DevDaemon> {
  const child = spawn('bash', ['-c', dev?.code ?? ''], {
    cwd: checkout.path,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const exited = once(child, 'close').then(([code, signal]) => code ?? signal);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const isReady = () => stdout.includes('Ctrl-C stops it');
  await until(() => isReady() || hasEnded(), SET_UP_LIMIT_MS);
  if (!isReady()) throw new Error(`it has ended: ${stdout}${stderr}`);
  return {
    linesToPaste: [...stdout.matchAll(/^ {2}(?<line>\S.*)$/gm)].map(
      ({ groups }) => groups?.['line'] ?? '',
    ),
    end: (signal) => {
      if (!hasEnded()) process.kill(-(child.pid as number), signal);
      return exited;
    },
  };
}

interface Run {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs lines as a person would who pastes them into a terminal in the checkout. */
async function paste(lines: string, cwd = checkout.path): Promise<Run> {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', lines], {
    cwd,
    env: { ...environment, SOFTHSM2_CONF: softHsm.configuration, npm_config_offline: 'true' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: BLOCK_LIMIT_MS,
  });
  const [stdout, stderr, [exit]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { exit, stdout, stderr };
}

// In the order of the README, as its readers have run what stands before.

test('has no block of code that is not looked at here', () => {
  // Those in TypeScript are run by client-readme.test.ts; the diagram of states and the line of the
  // audit log are for its readers.
  const languages = new Set(CODE_BLOCKS.map(({ language }) => language));
  expect(languages).toEqual(new Set(['sh', 'console', 'ts', 'mermaid', 'json']));
  expect(otherConsoles).toEqual([]);
});

test('begins with the two commands, of which .ci/run runs the second', () => {
  const ci = readFileSync(join(ROOT, '.ci/run'), 'utf8');

  expect([dev?.code, everyTest?.code]).toEqual(['./scripts/dev\n', './scripts/test\n']);
  for (const script of ['scripts/dev', 'scripts/test', '.ci/run']) {
    expect(() => accessSync(join(ROOT, script), constants.X_OK)).not.toThrow();
  }
  expect(ci).toMatch(/^exec \.\/scripts\/test --slow$/m);
});

describe('./scripts/dev', () => {
  test('prints the first steps of the README', () => {
    const [enter, ...steps] = daemon.linesToPaste;

    expect(enter).toBe(`cd ${checkout.path}`);
    expect(steps.join('\n')).toBe(firstSteps?.code.trimEnd());
  });

  test('prints lines that make a key, sign and verify when they are pasted anywhere', async () => {
    const { exit, stdout, stderr } = await paste(daemon.linesToPaste.join('\n'), '/');

    expect({ exit, stderr }).toMatchObject({
      exit: 0,
      stderr: expect.stringContaining('version 1'),
    });
    expect(stdout).toMatch(/^name +webhooks$/m);
    expect(stdout).toMatch(/^valid, version 1$/m);
  });
});

describe('a terminal in which .dev/env has been sourced runs', () => {
  const blocks = others.map(({ code }) => [code.split('\n')[0], code] as const);

  test.each(blocks)('%s', async (_, code) => {
    const run = await paste(`source .dev/env\n${code}`);

    // What went wrong stands beside the status.
    expect(run.exit === 0 ? '' : run.stderr).toBe('');
    expect(run).toMatchObject({ exit: 0, stdout: expect.stringMatching(/./) });
  });
});

describe('the installation', () => {
  /** Takes the place of the machine's root. */
  let root: string;
  let run: Run;
  let calls: string[];

  beforeAll(async () => {
    root = join(softHsm.directory, 'root');
    for (const folder of ['usr/bin', 'usr/lib/sysusers.d', 'etc/systemd/system']) {
      mkdirSync(join(root, folder), { recursive: true });
    }
    const log = join(root, 'systemctl.log');
    writeFileSync(log, '');
    const stubs = [
      `systemctl() { printf '%s\\n' "$*" >>${log}; }`,
      `systemd-sysusers() { command systemd-sysusers --root=${root} "$@"; }`,
    ];
    run = await paste([...stubs, inRoot(installation?.code.replace(/^# /gm, '') ?? '')].join('\n'));
    calls = readFileSync(log, 'utf8').trimEnd().split('\n');
  });

  function inRoot(lines: string): string {
    return lines.replace(/(?<=[\s=])\/(?=usr\/|etc\/)/g, `${root}/`);
  }

  test('runs, and finds the example configuration right', () => {
    expect(run).toMatchObject({ exit: 0, stdout: expect.stringContaining('is right') });
  });

  test('puts every file in place that the units name', () => {
    const unit = readFileSync(join(root, 'etc/systemd/system/sigild.service'), 'utf8');
    const [, program, config] = /^ExecStart=\S+ (\S+) --config (\S+)$/m.exec(unit) ?? [];
    const [, pin] = /^LoadCredential=pin:(\S+)$/m.exec(unit) ?? [];

    const [hasProgram, hasConfig] = [program, config].map((file = '?') =>
      existsSync(join(root, file)),
    );
    expect({ hasProgram, hasConfig }).toEqual({ hasProgram: true, hasConfig: true });
    expect(statSync(join(root, pin ?? '?')).mode & 0o777).toBe(0o600);
  });

  test('installs programs that run without what they are developed with', async () => {
    const versions = await paste(
      inRoot('node /usr/lib/sigild/dist/main.js --version\n /usr/bin/sigilctl --version'),
    );

    expect(versions.stdout).toMatch(/^sigild \S+\nsigilctl \S+\n$/);
    expect(existsSync(join(root, 'usr/lib/sigild/node_modules/typescript'))).toBe(false);
  });

  test('makes the user and the group of the units', () => {
    expect(readFileSync(join(root, 'etc/passwd'), 'utf8')).toMatch(/^sigild:/m);
    expect(readFileSync(join(root, 'etc/group'), 'utf8')).toMatch(/^sigild-clients:/m);
  });

  test('enables units that systemd accepts', async () => {
    const units = calls.flatMap((call) => call.match(/\S+\.(?:service|socket)$/) ?? []);
    const folder = join(root, 'verify');
    mkdirSync(folder);
    for (const unit of units) {
      const installed = readFileSync(join(root, 'etc/systemd/system', unit), 'utf8');
      writeFileSync(join(folder, unit), installed.replaceAll('/usr/bin/node', process.execPath));
    }

    const { stderr } = await promisify(execFile)('systemd-analyze', [
      ...['verify', '--man=no'],
      ...units.map((unit) => join(folder, unit)),
    ]);

    expect(calls[0]).toBe('daemon-reload');
    expect(units).not.toEqual([]);
    expect(stderr.split('\n').filter((line) => line.includes('sigild'))).toEqual([]);
  });
});

test('Ctrl-C drains the daemon of ./scripts/dev and leaves nothing running', async () => {
  expect(await daemon.end('SIGINT')).toBe(0);
  expect(processesIn(checkout.path)).toEqual([]);
});

test('./scripts/dev run again serves the same keys', async () => {
  daemon = await startDev();

  const { stdout } = await paste('source .dev/env\nnpx sigilctl key list');

  expect(stdout).toMatch(/^webhooks +HMAC_SHA256/m);
});
