import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Sample } from './rounds.ts';
import type { Context } from './scenario.ts';
import type { SignedMessage } from './signing-client.ts';

/** A PKCS#11 module, and what a program that loads it needs in its environment. */
export interface CryptokiModule {
  readonly file: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** What is signed, and with which token. */
export interface CryptokiWork {
  readonly token: { readonly label: string; readonly pin: string };
  /** What the daemon has signed with a key on that token. */
  readonly message: SignedMessage;
  readonly context: Pick<Context, 'seconds' | 'signal'>;
}

interface Kind {
  /** What its loads are called, but for the number of threads. */
  readonly name: string;
  /** What its loads are ways of; its name when absent. */
  readonly wayOf?: string;
  readonly module: CryptokiModule;
  /** What the key is while it signs: itself, or a copy as a session object. */
  readonly keyObject: 'token' | 'session';
}

/** With which numbers of threads a C program is measured. */
const THREADS = [1, 4, 16];

/** How long starting and ending the C program may take. */
const PATIENCE_MS = 60_000;

const MS_PER_SECOND = 1_000;

const PROGRAM = join(import.meta.dirname, '../../cryptoki-load');

const run = promisify(execFile);

/** A C program that calls a PKCS#11 module, with each of its numbers of threads. */
export function cryptokiLoads(kind: Kind, work: CryptokiWork): CryptokiLoad[] {
  return THREADS.map((threads) => new CryptokiLoad(kind, threads, work));
}

/** Signs a message over and over with the key by which the daemon has signed it. */
export class CryptokiLoad {
  readonly name: string;
  readonly wayOf: string;
  readonly #kind: Kind;
  readonly #threads: number;
  readonly #work: CryptokiWork;

  constructor(kind: Kind, threads: number, work: CryptokiWork) {
    this.name = `${kind.name} ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
    this.wayOf = kind.wayOf ?? kind.name;
    this.#kind = kind;
    this.#threads = threads;
    this.#work = work;
  }

  /** @throws {Error} when a MAC is not the daemon's */
  async run(): Promise<Sample> {
    const { module, keyObject } = this.#kind;
    const { token, message, context } = this.#work;
    const { seconds, signal } = context;
    const settings = [token.label, message.key, keyObject, `${this.#threads}`, `${seconds}`];
    const running = run(PROGRAM, [module.file, ...settings], {
      env: module.environment,
      signal,
      timeout: PATIENCE_MS + seconds * MS_PER_SECOND,
      killSignal: 'SIGKILL',
    });
    // A program that ends before it has read everything says why itself.
    running.child.stdin?.on('error', () => undefined).end(inputOf(token.pin, message));
    return parseCryptokiLoad((await running).stdout);
  }
}

/** @throws {Error} when the text is not what the program prints */
export function parseCryptokiLoad(output: string): Sample {
  const { operations, seconds } = JSON.parse(output);
  if (operations > 0 && seconds > 0) return { opsPerSecond: operations / seconds };
  throw new Error(`cryptoki-load printed no figures: ${output}`);
}

/** The PIN, data and MAC go where no other user sees them. */
function inputOf(pin: string, { data, mac }: SignedMessage): string {
  return [pin, hex(data), hex(mac), ''].join('\n');
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
