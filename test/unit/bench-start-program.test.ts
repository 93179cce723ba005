import { existsSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Resources } from '../../scripts/bench/resources.ts';
import { startProgram } from '../../scripts/bench/start-program.ts';

let resources: Resources;

beforeEach(() => {
  resources = new Resources();
});

afterEach(async () => {
  await resources.release();
});

test('a program runs until the resources are released', async () => {
  const program = 'console.log(process.env.WORD); setInterval(() => undefined, 1_000)';

  const { pid, line } = await startProgram([process.execPath, '-e', program], resources, {
    WORD: 'ready',
  });

  expect(line).toBe('ready');
  expect(existsSync(`/proc/${pid}`)).toBe(true);
  await resources.release();
  expect(existsSync(`/proc/${pid}`)).toBe(false);
});

test('a program that ends without a word is an error', async () => {
  await expect(startProgram(['true'], resources)).rejects.toThrow('true has ended');
});

test('a temporary folder goes with what is in it', async () => {
  const folder = resources.temporaryFolder();

  expect(existsSync(folder)).toBe(true);
  await resources.release();
  expect(existsSync(folder)).toBe(false);
});
