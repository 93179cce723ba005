import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestToken } from './test-token.ts';
import { until } from './wait.ts';

const MULTIARCH = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
const MODULES = [`/usr/lib/${MULTIARCH}`, '/usr/lib64', '/usr/lib'].map((folder) =>
  join(folder, 'pkcs11/libopencryptoki.so'),
);

/** Of a token that is made now, and of one that has been initialised. */
const SO_PINS = { first: '87654321', own: '76543210' };
const LABEL = 'test';

/** It takes at most 8 digits, and not its own default. */
const PINS = { first: '11223344', own: '22334455' };

/**
 * Its folders are compiled in: this lays empty ones over them, in a mount namespace that ends with its
 * last process. Its daemon and shared memory are in there too.
 */
const NAMESPACE = `
  mount -t tmpfs tmpfs /var/lib/opencryptoki
  mount -t tmpfs tmpfs /run
  mount -t tmpfs tmpfs /dev/shm
  folders="/run/lock/opencryptoki/swtok /run/opencryptoki /var/lib/opencryptoki/swtok/TOK_OBJ"
  mkdir -p $folders
  chgrp -R pkcs11 /run/lock/opencryptoki /run/opencryptoki /var/lib/opencryptoki
  chmod -R 0770 /run/lock/opencryptoki /run/opencryptoki /var/lib/opencryptoki
  mount --bind "$1" /etc/opencryptoki/opencryptoki.conf
  pkcsslotd
  touch "$2"
  # Until the test, or its process, ends.
  cat
  daemon=$(cat /run/pkcsslotd.pid)
  kill "$daemon"
  timeout 20 tail --pid="$daemon" -f /dev/null
`;

const CONFIGURATION = `version opencryptoki-3.1
slot 0
{
stdll = libpkcs11_sw.so
}
`;

/** Why no openCryptoki can be started here; undefined when it can. */
export function whyNoOpenCryptoki(): string | undefined {
  return process.getuid?.() === 0
    ? undefined
    : 'openCryptoki runs in a mount namespace of its own, which needs root';
}

/** openCryptoki's software token, of which three wrong PINs lock the PIN. */
export interface OpenCryptoki extends TestToken {
  /** What starts a program that shall see this token. */
  readonly launcher: readonly [program: string, ...args: string[]];
  readonly pin: string;
  /** Changes the user's PIN on the token; the PIN file stays as it is. */
  changePin(pin: string): void;
  /** Makes a MAC key of a value that the caller knows. */
  writeKey(label: string, value: Buffer): void;
  deleteKey(label: string): void;
  /** @throws {Error} when the token refuses the PIN, or has locked it */
  logIn(pin: string): void;
  remove(): Promise<void>;
}

/** Starts openCryptoki, with a daemon and a token of its own. */
export async function createOpenCryptoki(): Promise<OpenCryptoki> {
  const module = MODULES.find((file) => existsSync(file));
  if (module === undefined) throw new Error(`none of ${MODULES.join(', ')} is there`);
  const directory = mkdtempSync(join(tmpdir(), 'sigild-opencryptoki-'));
  const namespace = await startNamespace(directory);
  const launcher = ['nsenter', '--target', `${namespace.pid}`, '--mount', '--ipc', '--'] as const;
  let pin = PINS.own;
  const tool = (...args: readonly string[]) => {
    const [program, ...prefix] = launcher;
    const run = [...prefix, 'pkcs11-tool', '--module', module, ...args];
    return execFileSync(program, run, { encoding: 'utf8', stdio: 'pipe' });
  };
  const asUser = (...args: readonly string[]) =>
    tool('--token-label', LABEL, '--login', '--pin', pin, ...args);
  const asOfficer = (soPin: string, ...args: readonly string[]) =>
    tool('--token-label', LABEL, '--login', '--login-type', 'so', '--so-pin', soPin, ...args);

  tool('--init-token', '--slot', '0', '--label', LABEL, '--so-pin', SO_PINS.first);
  // It wants PINs changed that somebody else has set, before anything else.
  asOfficer(SO_PINS.first, '--change-pin', '--new-pin', SO_PINS.own);
  asOfficer(SO_PINS.own, '--init-pin', '--pin', PINS.first);
  tool('--token-label', LABEL, '--login', '--pin', PINS.first, '--change-pin', '--new-pin', pin);
  const pinFile = join(directory, 'pin');
  writeFileSync(pinFile, pin, { mode: 0o600 });
  return {
    directory,
    module,
    label: LABEL,
    pinFile,
    environment: process.env,
    launcher,
    get pin() {
      return pin;
    },
    changePin(newPin) {
      asUser('--change-pin', '--new-pin', newPin);
      pin = newPin;
    },
    writeKey(label, value) {
      const file = join(directory, 'value');
      writeFileSync(file, value, { mode: 0o600 });
      const usage = ['--usage-sign', '--sensitive'];
      asUser('--write-object', file, '--type', 'secrkey', '--label', label, ...usage);
      rmSync(file);
    },
    deleteKey: (label) => void asUser('--delete-object', '--type', 'secrkey', '--label', label),
    logIn: (tried) => void tool('--token-label', LABEL, '--login', '--pin', tried, '-O'),
    async remove() {
      await namespace.end();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

interface Namespace {
  /** Of the process that keeps it. */
  readonly pid: number;
  end(): Promise<void>;
}

async function startNamespace(directory: string): Promise<Namespace> {
  const configuration = join(directory, 'opencryptoki.conf');
  const ready = join(directory, 'ready');
  writeFileSync(configuration, CONFIGURATION);
  const child = spawn(
    'unshare',
    [
      ...['--mount', '--ipc', '--propagation', 'private'],
      ...['bash', '-euc', NAMESPACE, 'bash', configuration, ready],
    ],
    { stdio: ['pipe', 'ignore', 'inherit'] },
  );
  const exited = once(child, 'exit');
  await until(() => {
    if (child.exitCode !== null) throw new Error(`unshare exited with ${child.exitCode}`);
    return existsSync(ready);
  });
  return {
    pid: child.pid as number,
    async end() {
      child.stdin.end();
      await exited;
    },
  };
}
