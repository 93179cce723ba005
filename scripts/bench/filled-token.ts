import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createSoftHsm, type SoftHsm } from '../../test/support/softhsm.ts';
import type { Context } from './scenario.ts';

/** A key on a token, and what it has to make of the data. */
export interface KnownKey {
  readonly name: string;
  readonly mac: Buffer;
}

export interface FilledToken {
  readonly softHsm: SoftHsm;
  readonly keys: readonly KnownKey[];
}

const LIMIT_MS = 300_000;
const MAX_OUTPUT_BYTES = 16 * 1_024 * 1_024;

const PROGRAM = join(import.meta.dirname, 'fill-token.js');

const run = promisify(execFile);

/** Makes a token with so many keys, whose MACs of the data are made without the daemon. */
export async function createFilledToken(
  keys: number,
  data: Buffer,
  { resources, signal, progress }: Context,
): Promise<FilledToken> {
  progress(`making a token with ${keys} keys`);
  const softHsm = createSoftHsm('bench', memoryFolder());
  resources.add(() => softHsm.remove());
  const { module, label, pinFile, environment } = softHsm;
  const settings = [module, label, pinFile, String(keys), data.toString('hex')];
  const { stdout } = await run(process.execPath, [PROGRAM, ...settings], {
    env: environment,
    maxBuffer: MAX_OUTPUT_BYTES,
    signal,
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  return { softHsm, keys: parseKeys(stdout) };
}

/** @throws {Error} when the text is not what fill-token.ts prints */
export function parseKeys(output: string): KnownKey[] {
  const lines = output.trimEnd().split('\n');
  return lines.map((line) => {
    const { name, mac } = JSON.parse(line);
    return { name, mac: Buffer.from(mac, 'hex') };
  });
}

/** SoftHSM 2.6 writes a new key's file some dozen times over: on a disk this takes 10 to 20 ms. */
function memoryFolder(): string {
  return existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
}
