import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type pkcs11js from 'pkcs11js';
import type { TestToken } from './test-token.ts';

const MODULE = join(import.meta.dirname, '../../.test/pkcs11-shim.so');

/** Longer than the shim takes to see that its control file has changed. */
const CONTROL_DELAY_MS = 5;

/** A record of the counters file: the name, three counters, and what fills it up. */
const RECORD_BYTES = 64;
const NAME_BYTES = 24;
const OFFSETS = { calls: NAME_BYTES, faults: NAME_BYTES + 8, delayNs: NAME_BYTES + 16 };

const NS_PER_MS = 1e6;

export type CryptokiFunction = Exclude<
  Extract<keyof pkcs11js.PKCS11, `C_${string}`>,
  `${string}Async` | `${string}Callback`
>;

/** A vendor's own codes have no name. */
export type ReturnCode = Extract<keyof typeof pkcs11js, `CKR_${string}`> | number;

/** On which of its functions' calls a rule acts: on those that all of these allow. */
interface When {
  /** Not on the first so many. */
  readonly skip?: number;
  /** Of the others, on each of such a number. */
  readonly every?: number;
  /** A probability from 0 to 1. */
  readonly chance?: number;
  /** So often in all, whichever process makes the calls. */
  readonly times?: number;
}

interface Delay extends When {
  /** Up to how much longer it may take, in ms. */
  readonly jitter?: number;
}

/** A fault-injecting PKCS#11 module in front of a token's own: pkcs11-shim/shim.c describes it. */
export interface Pkcs11Shim {
  readonly module: string;
  readonly environment: NodeJS.ProcessEnv;
  /**
   * Puts lines in the place of all before. They hold for every call that begins after the promise
   * has resolved.
   */
  control(...lines: readonly string[]): Promise<void>;
  /** How often the processes on the shim have called a function, all together. */
  calls(name: CryptokiFunction): number;
  /** How many of these calls were not answered as the real module would have done. */
  faults(name: CryptokiFunction): number;
  /** The same, of all functions. */
  allFaults(): number;
  /** For how long rules have delayed these calls in all: timers ring late. */
  delayMs(name: CryptokiFunction): number;
}

export function pkcs11Shim({ directory, module, environment }: TestToken): Pkcs11Shim {
  if (!existsSync(MODULE)) {
    throw new Error(`${MODULE} is missing: run \`bash scripts/lib/shim.sh\` first`);
  }
  const control = join(directory, 'shim.control');
  const counters = join(directory, 'shim.counters');
  return {
    module: MODULE,
    environment: {
      ...environment,
      PKCS11_SHIM_MODULE: module,
      PKCS11_SHIM_CONTROL: control,
      PKCS11_SHIM_COUNTERS: counters,
    },
    async control(...lines) {
      writeFileSync(`${control}.new`, lines.map((line) => `${line}\n`).join(''));
      renameSync(`${control}.new`, control);
      await sleep(CONTROL_DELAY_MS);
    },
    calls: (name) => readCounter(counters, name, 'calls'),
    faults: (name) => readCounter(counters, name, 'faults'),
    allFaults: () => readCounters(counters, 'faults').reduce((sum, [, count]) => sum + count, 0),
    delayMs: (name) => readCounter(counters, name, 'delayNs') / NS_PER_MS,
  };
}

function readCounter(file: string, name: CryptokiFunction, counter: keyof typeof OFFSETS): number {
  const counters = readCounters(file, counter);
  const found = counters.find(([function_]) => function_ === name);
  if (!found && counters.length > 0) throw new Error(`the shim does not count ${name}`);
  return found?.[1] ?? 0;
}

/** @returns nothing before the first call */
function readCounters(file: string, counter: keyof typeof OFFSETS): readonly [string, number][] {
  if (!existsSync(file)) return [];
  const bytes = readFileSync(file);
  const counters: [string, number][] = [];
  for (let record = 0; bytes[record]; record += RECORD_BYTES) {
    const [name = ''] = bytes.toString('latin1', record, record + NAME_BYTES).split('\0');
    counters.push([name, Number(bytes.readBigUInt64LE(record + OFFSETS[counter]))]);
  }
  return counters;
}

/** Begins a rule on some functions, or on all that concern a token. */
export function on(...functions: readonly CryptokiFunction[] | readonly ['*']) {
  const rule = (action: string, when: When = {}) =>
    [functions.join(), action, ...Object.entries(when).flat()].join(' ');
  return {
    delay: (ms: number, when?: Delay) => rule(`delay ${ms}`, when),
    /** Answers without making the call. */
    return: (code: ReturnCode, when?: When) => rule(`return ${code}`, when),
    /** Makes the call and answers something else than the real module did. */
    returnAfter: (code: ReturnCode, when?: When) => rule(`return-after ${code}`, when),
    /** Holds the call until the control file changes. */
    hang: (when?: When) => rule('hang', when),
    hangForever: (when?: When) => rule('hang-forever', when),
    abort: (when?: When) => rule('abort', when),
    segfault: (when?: When) => rule('segfault', when),
    exit: (status: number, when?: When) => rule(`exit ${status}`, when),
    /** The token has dropped the call's session. */
    loseSession: (when?: When) => rule('lose-session', when),
    flipBit: (when?: When) => rule('flip-bit', when),
    shorten: (bytes: number, when?: When) => rule(`shorten ${bytes}`, when),
    /** The key's handle means another key, the one of this label. */
    useKey: (label: string, when?: When) => rule(`use-key ${label}`, when),
  };
}

/** Lines of a control file that are no rules. */
export const setting = {
  /** Of chance and jitter. */
  seed: (seed: number) => `seed ${seed}`,
  /** All sessions that are open at this moment are dropped, and the login with them. */
  loseSessions: () => 'lose-sessions',
  logOut: () => 'log-out',
  /** Until the line is taken away everything answers the code, and no slot has a token. */
  removeToken: (code: ReturnCode) => `remove-token ${code}`,
  /** Of each process. */
  sessionLimit: (sessions: number) => `session-limit ${sessions}`,
  idleLimit: (ms: number) => `idle-limit ${ms}`,
};
