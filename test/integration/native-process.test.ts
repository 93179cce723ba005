import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { processFunctions } from '../../src/native/linux-process.ts';

const ADDON = join(import.meta.dirname, '../../native/build/process.node');
const NOBODY = 65_534;

let folder: string;
let child: ChildProcess | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigild-native-'));
  chmodSync(folder, 0o755);
});

afterEach(() => {
  child?.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

test('a process that forbids core dumps is nobody else’s to look into', async () => {
  const addon = join(folder, 'process.node');
  copyFileSync(ADDON, addon);
  const script = `
    process.stdin.once('data', () => {
      require(${JSON.stringify(addon)}).forbidCoreDumps();
      console.log('done');
    });
    console.log('ready');`;
  // As root is, whoever owns its files: another user tells more.
  const asNobody = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
  const [program = '', ...args] = [
    ...(process.getuid?.() === 0 ? asNobody : []),
    ...[process.execPath, '--eval', script],
  ];
  child = spawn(program, args, { cwd: '/', stdio: ['pipe', 'pipe', 'inherit'] });
  const owner = () => statSync(`/proc/${child?.pid}/environ`).uid;
  const said = async () => String(await once(child?.stdout ?? process.stdin, 'data')).trim();

  expect(await said()).toBe('ready');
  const before = owner();
  child.stdin?.write('go\n');
  expect(await said()).toBe('done');

  expect(before).not.toBe(0);
  expect(owner()).toBe(0);
});

test.each([
  ['no descriptor', -1],
  ['a descriptor that is not open', 65_000],
])('%s has no peer', (_, fd) => {
  expect(() => processFunctions?.peerOf(fd)).toThrow('Bad file descriptor');
});
