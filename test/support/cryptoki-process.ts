import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import pkcs11js from 'pkcs11js';
import type { CryptokiFunction } from './pkcs11-shim.ts';
import type { TestToken } from './test-token.ts';

const PROGRAM = join(import.meta.dirname, 'cryptoki-program.js');

type Handle = Buffer;

/** A process that makes Cryptoki calls on a token, one after another. */
export class CryptokiProcess {
  /** Settles when it has ended, with its exit status or signal. */
  readonly exited: Promise<number | NodeJS.Signals>;
  readonly #child: ChildProcess;
  #slot: Handle | undefined;
  #stderr = '';

  constructor({ module, environment }: Pick<TestToken, 'module' | 'environment'>) {
    this.#child = fork(PROGRAM, [module], {
      env: environment,
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.exited = once(this.#child, 'close').then(([status, signal]) => signal ?? status);
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** What it and its module have written there. */
  get stderr(): string {
    return this.#stderr;
  }

  /** @throws {Error} with the return value as its `code`, or without one when the process ends */
  async call<Result = void>(name: CryptokiFunction, ...parameters: unknown[]): Promise<Result> {
    const answered = once(this.#child, 'message');
    this.#child.send({ name, parameters });
    const ended = this.exited.then((how) => Promise.reject(new Error(`${name}: ended by ${how}`)));
    const [{ result, code }] = await Promise.race([answered, ended]);
    if (code !== undefined) throw Object.assign(new Error(`${name}: ${code}`), { code });
    return result;
  }

  /** @returns what the function answers, CKR_OK too */
  async returnValue(name: CryptokiFunction, ...parameters: unknown[]): Promise<number> {
    try {
      await this.call(name, ...parameters);
      return pkcs11js.CKR_OK;
    } catch (error) {
      if (error instanceof Error && 'code' in error) return Number(error.code);
      throw error;
    }
  }

  initialize(): Promise<void> {
    return this.call('C_Initialize', { flags: pkcs11js.CKF_OS_LOCKING_OK });
  }

  async openSession(): Promise<Handle> {
    this.#slot ??= (await this.call<Handle[]>('C_GetSlotList', true))[0];
    const flags = pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION;
    return this.call<Handle>('C_OpenSession', this.#slot, flags);
  }

  async findKey(session: Handle, label: string): Promise<Handle> {
    await this.call('C_FindObjectsInit', session, [{ type: pkcs11js.CKA_LABEL, value: label }]);
    const [key] = await this.call<Handle[]>('C_FindObjects', session, 1);
    await this.call('C_FindObjectsFinal', session);
    if (!key) throw new Error(`no key ${label}`);
    return key;
  }

  /** Makes a MAC with C_SignInit and C_Sign. */
  async sign(session: Handle, key: Handle, data: Buffer): Promise<Buffer> {
    await this.call('C_SignInit', session, SHA256_HMAC, key);
    return this.call<Buffer>('C_Sign', session, data, Buffer.alloc(64));
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }
}

export const SHA256_HMAC = { mechanism: pkcs11js.CKM_SHA256_HMAC };
