import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { processTree, signalAll } from './processes.ts';
import type { TestToken } from './test-token.ts';
import { until } from './wait.ts';

const MULTIARCH = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
const MODULES = [`/usr/lib/${MULTIARCH}`, '/usr/lib64', '/usr/lib'].map((folder) =>
  join(folder, 'pkcs11/p11-kit-client.so'),
);

/** `p11-kit server`, which offers a token to other processes on a unix socket. */
export class P11KitServer {
  /** The module that speaks with it. */
  readonly module: string;
  /** The environment of processes that load the module. */
  readonly environment: NodeJS.ProcessEnv;
  readonly #token: TestToken;
  readonly #socket: string;
  #child: ChildProcess | undefined;

  constructor(token: TestToken) {
    const module = MODULES.find((file) => existsSync(file));
    if (module === undefined) throw new Error(`none of ${MODULES.join(', ')} is there`);
    this.module = module;
    this.#token = token;
    this.#socket = join(mkdtempSync(join(token.directory, 'p11-kit-')), 'socket');
    this.environment = { ...process.env, P11_KIT_SERVER_ADDRESS: `unix:path=${this.#socket}` };
  }

  /** Starts it, and waits until it listens. */
  async start(): Promise<void> {
    const { module, label, environment } = this.#token;
    const child = spawn(
      'p11-kit',
      [
        ...['server', '--foreground', '--provider', module],
        ...['--name', this.#socket, `pkcs11:token=${label}`],
      ],
      { env: environment, stdio: ['pipe', 'ignore', 'inherit'] },
    );
    this.#child = child;
    await until(() => {
      if (child.exitCode !== null) throw new Error(`p11-kit server exited with ${child.exitCode}`);
      return existsSync(this.#socket);
    });
  }

  /** Sends a signal to it and to the processes that it has made, of which each serves a connection. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    signalAll(this.#pids(), signal);
  }

  /** Kills it and all that it has made. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    this.#child = undefined;
    const exited = once(child, 'close');
    signalAll(processTree(child.pid as number), 'SIGKILL');
    await exited;
    rmSync(this.#socket, { force: true });
  }

  #pids(): number[] {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error('p11-kit server does not run');
    return processTree(pid);
  }
}
