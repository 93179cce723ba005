import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { signalAll } from './processes.ts';
import type { TestToken } from './test-token.ts';

const MULTIARCH = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
const MODULES = ['/usr/lib/softhsm/libsofthsm2.so', `/usr/lib/${MULTIARCH}/softhsm/libsofthsm2.so`];

/** For processes to stop. */
const STOP_MS = 5;
/** On a machine that is busy with tests. */
const LONGEST_WRITE_MS = 50;
/** For both together to find a moment in which a process writes nothing. */
const KILL_LIMIT_MS = 30_000;
/** No process that is stopped now and then takes so long to write a file. */
const LEFT_MS = 15_000;

interface SecretKey {
  readonly label: string;
  readonly id?: string;
  readonly value: Buffer;
  readonly sensitive?: boolean;
  /** A generic secret unless pkcs11-tool is told another type. */
  readonly type?: `AES:${number}`;
}

/** A private SoftHSM with one token, in a temporary folder. */
export interface SoftHsm extends TestToken {
  /** Value of SOFTHSM2_CONF for processes that shall see this token. */
  readonly configuration: string;
  readonly pin: string;
  readonly soPin: string;
  /** Puts another PIN into the PIN file. */
  writePin(pin: string, mode?: number): void;
  /** Adds another token to the same SoftHSM. */
  addToken(label: string): void;
  /** Writes a MAC key that another tool could have made. */
  writeKey(options: SecretKey): void;
  /** Imports a key pair, as PKCS #8 in PEM, that another program has made. */
  importPair(label: string, pem: string, id?: string): void;
  /**
   * Ends processes by SIGKILL, wherever they are but for one thing. SoftHSM 2.6.1 empties a file and
   * then writes it anew: the token's own at each C_Login, a key's when that is changed. Who is killed
   * between the two leaves no token, or no key, and nothing that anybody could make it from.
   */
  kill(pids: readonly number[]): Promise<void>;
  /** Runs pkcs11-tool, logged in to the token. */
  pkcs11Tool(...args: readonly string[]): string;
  remove(): void;
}

/** Finds SoftHSM's module as Debian and Ubuntu install it. */
export function softHsmModule(): string {
  const module = MODULES.find((file) => existsSync(file));
  if (module === undefined)
    throw new Error(`SoftHSM is not installed: none of ${MODULES.join(', ')}`);
  return module;
}

export function createSoftHsm(label = 'test', parent = tmpdir()): SoftHsm {
  const directory = mkdtempSync(join(parent, 'sigild-softhsm-'));
  const module = softHsmModule();
  const configuration = join(directory, 'softhsm2.conf');
  const tokens = join(directory, 'tokens');
  const pin = randomBytes(6).toString('hex');
  const soPin = randomBytes(6).toString('hex');
  const pinFile = join(directory, 'pin');
  mkdirSync(tokens);
  writeFileSync(configuration, `directories.tokendir = ${tokens}\nlog.level = ERROR\n`);
  writeFileSync(pinFile, `${pin}\n`, { mode: 0o600 });
  const environment = { ...process.env, SOFTHSM2_CONF: configuration };
  const run = (program: string, args: readonly string[]) =>
    execFileSync(program, args, { env: environment, encoding: 'utf8', stdio: 'pipe' });
  const addToken = (name: string) => {
    run('softhsm2-util', [
      '--init-token',
      '--free',
      '--label',
      name,
      '--pin',
      pin,
      '--so-pin',
      soPin,
    ]);
  };
  const runPkcs11Tool = (...args: readonly string[]) =>
    run('pkcs11-tool', [
      '--module',
      module,
      '--token-label',
      label,
      '--login',
      '--pin',
      pin,
      ...args,
    ]);
  const pkcs11Tool = (...args: readonly string[]) => {
    try {
      return runPkcs11Tool(...args);
    } catch (error) {
      // SoftHSM 2.6 knows no token whose file another process is just writing.
      if (!String(error).includes(`No slot with token named "${label}"`)) throw error;
      return runPkcs11Tool(...args);
    }
  };
  addToken(label);
  return {
    directory,
    module,
    configuration,
    label,
    pin,
    soPin,
    pinFile,
    environment,
    addToken,
    pkcs11Tool,
    writePin(otherPin, mode = 0o600) {
      writeFileSync(pinFile, `${otherPin}\n`);
      chmodSync(pinFile, mode);
    },
    writeKey({ label: name, id, value, sensitive = true, type }) {
      const file = join(directory, `${randomBytes(4).toString('hex')}.key`);
      writeFileSync(file, value, { mode: 0o600 });
      pkcs11Tool(
        ...['--write-object', file, '--type', 'secrkey'],
        ...['--usage-sign', '--label', name, '--private'],
        ...(id === undefined ? [] : ['--id', id]),
        ...(sensitive ? ['--sensitive'] : []),
        ...(type === undefined ? [] : ['--key-type', type]),
      );
      rmSync(file);
    },
    importPair(name, pem, id = randomBytes(8).toString('hex')) {
      const file = join(directory, `${randomBytes(4).toString('hex')}.pem`);
      writeFileSync(file, pem, { mode: 0o600 });
      run('softhsm2-util', [
        ...['--import', file, '--token', label, '--pin', pin],
        ...['--label', name, '--id', id],
      ]);
      rmSync(file);
    },
    async kill(pids) {
      const isWriting = () => objectFiles(tokens).some(isBeingWritten);
      const endMs = performance.now() + KILL_LIMIT_MS;
      while (performance.now() < endMs) {
        signalAll(pids, 'SIGSTOP');
        await pause(STOP_MS);
        if (!isWriting()) return signalAll(pids, 'SIGKILL');
        signalAll(pids, 'SIGCONT');
        // Of varying length, as another process may be treated so at the same time.
        await pause(STOP_MS + Math.random() * LONGEST_WRITE_MS);
      }
      signalAll(pids, 'SIGKILL');
      throw new Error('SoftHSM has been writing for all the time');
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** The files of a SoftHSM's tokens and of their objects. */
function objectFiles(tokens: string): readonly string[] {
  return readdirSync(tokens, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.object'))
    .map((file) => join(tokens, file));
}

/**
 * One that has been empty for long was left so by a process that has ended. One that has gone since it
 * was found is of an object that another process has destroyed.
 */
function isBeingWritten(file: string): boolean {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats?.size === 0 && Date.now() - stats.mtimeMs < LEFT_MS;
}

/** OpenSC's PKCS#11 spy in front of a SoftHSM: a module that writes every call into a file. */
export interface Pkcs11Spy {
  readonly module: string;
  readonly environment: NodeJS.ProcessEnv;
  log(): string;
}

export function pkcs11Spy(softHsm: SoftHsm): Pkcs11Spy {
  const output = join(softHsm.directory, 'spy.log');
  return {
    module: `/usr/lib/${MULTIARCH}/pkcs11-spy.so`,
    environment: { ...softHsm.environment, PKCS11SPY: softHsm.module, PKCS11SPY_OUTPUT: output },
    log: () => (existsSync(output) ? readFileSync(output, 'utf8') : ''),
  };
}
