import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import type { TestToken } from './test-token.ts';

const PROGRAM = join(import.meta.dirname, '../../dist/main.js');
const START_LIMIT_MS = 90_000;

/** A line of the daemon's log. */
export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface DaemonOptions {
  /** Parts of the configuration that differ from {@link baseConfig}, by top-level key. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly environment?: NodeJS.ProcessEnv;
  /** A program and its arguments that run the daemon in their own process's place. */
  readonly launcher?: readonly [program: string, ...args: string[]];
  /** Another main.js than that of the build. */
  readonly program?: string;
}

/** The built daemon, as a process of its own. */
export interface Daemon {
  readonly process: ChildProcess;
  readonly configFile: string;
  /** What it listens on, such as `unix:/path` or `127.0.0.1:7400`, in the configuration's order. */
  readonly addresses: readonly string[];
  readonly logLines: readonly LogLine[];
  readonly stderr: () => string;
  /** Settles with the exit code, or with the name of the signal that ended it. */
  readonly exited: Promise<number | string>;
  /** SIGTERM, and the end of the process. */
  stop(): Promise<number | string>;
}

/** Grants for everything to the client of a test. */
export const EVERYTHING = [
  {
    keys: ['*'],
    operations: [
      ...[
        'createKey',
        'importKey',
        'getKey',
        'listKeys',
        'getPublicKey',
        'rotateKey',
        'updateKey',
        'updateKeyVersion',
        'scheduleDestroy',
        'restore',
      ],
      ...['sign', 'verify', 'getTokenInfo'],
    ],
  },
];

/** A daemon on this token with a unix socket and a loopback port, for the client `test`. */
export function baseConfig(softHsm: TestToken): Record<string, unknown> {
  return {
    token: {
      module: softHsm.module,
      label: softHsm.label,
      pinFile: softHsm.pinFile,
      hosts: 2,
      sessionsPerHost: 2,
      adopt: [{ label: 'adopted-*', algorithm: 'HMAC_SHA256' }],
    },
    listeners: [
      { unix: join(softHsm.directory, 'sigild.sock'), mode: '0600', client: 'test' },
      { tcp: '127.0.0.1:0', plaintext: true, client: 'test' },
    ],
    clients: [{ name: 'test', grants: EVERYTHING }],
    health: { intervalMs: 200, timeoutMs: 1_000 },
    log: { level: 'debug' },
  };
}

/** Starts a daemon and waits until it serves. @throws {Error} with its stderr, when it ends instead */
export async function startDaemon(
  softHsm: TestToken,
  options: DaemonOptions = {},
): Promise<Daemon> {
  const daemon = spawnDaemon(softHsm, options);
  const serving = new Promise<readonly string[]>((resolve) => daemon.onServing(resolve));
  const limit = AbortSignal.timeout(START_LIMIT_MS);
  const tooLate = once(limit, 'abort').then(() => 'no answer in time');
  const first = await Promise.race([serving, daemon.exited, tooLate]);
  if (Array.isArray(first)) return { ...daemon, addresses: first };
  daemon.process.kill('SIGKILL');
  throw new Error(`the daemon does not serve (${first}): ${daemon.stderr()}`);
}

/** Starts a daemon that is expected to end by itself. */
export async function runDaemonToEnd(
  softHsm: TestToken,
  options: DaemonOptions = {},
): Promise<{
  readonly exit: number | string;
  readonly stderr: string;
  readonly log: readonly LogLine[];
}> {
  const daemon = spawnDaemon(softHsm, options);
  const killer = setTimeout(() => daemon.process.kill('SIGKILL'), START_LIMIT_MS);
  const exit = await daemon.exited;
  clearTimeout(killer);
  return { exit, stderr: daemon.stderr(), log: daemon.logLines };
}

/** How a run of the program ended that was not to become a daemon. */
export interface Run {
  readonly exit: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program with any arguments to its end. */
export async function runSigild(
  args: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Run> {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: START_LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { exit: code ?? signal, stdout, stderr };
}

type StartingDaemon = Daemon & { onServing(told: (addresses: string[]) => void): void };

/** Starts a daemon and does not wait for it. */
export function spawnDaemon(
  softHsm: TestToken,
  { config, environment, launcher, program: main = PROGRAM }: DaemonOptions = {},
): StartingDaemon {
  const folder = mkdtempSync(join(tmpdir(), 'sigild-daemon-'));
  const file = join(folder, 'config.yaml');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ ...baseConfig(softHsm), ...config }, undefined, 2));
  // Whoever runs the tests may be root, whom the daemon else refuses.
  const command = [process.execPath, main, '--allow-root', '--config', file] as const;
  const [program, ...args] = launcher ? ([...launcher, ...command] as const) : command;
  const child = spawn(program, args, {
    env: { ...softHsm.environment, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const logLines: LogLine[] = [];
  let told: (addresses: string[]) => void = () => undefined;
  createInterface(child.stdout).on('line', (text) => {
    const line = JSON.parse(text) as LogLine;
    logLines.push(line);
    if (line.msg === 'serving') told(line['addresses'] as string[]);
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString('utf8');
  });
  const exited = once(child, 'close').then(([code, signal]) => {
    if (existsSync(folder)) rmSync(folder, { recursive: true });
    return (code ?? signal) as number | string;
  });
  return {
    process: child,
    configFile: file,
    addresses: [],
    logLines,
    stderr: () => stderr,
    exited,
    stop: () => {
      child.kill('SIGTERM');
      return exited;
    },
    onServing: (listener) => {
      told = listener;
    },
  };
}
