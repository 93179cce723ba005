import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openToken } from '../../src/pkcs11/token-search.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

let softHsm: SoftHsm;

beforeEach(() => {
  softHsm = createSoftHsm();
  process.env['SOFTHSM2_CONF'] = softHsm.configuration;
});

afterEach(() => softHsm.remove());

/** Leaves the token's file as it is in the middle of another process's login. @returns its path */
function emptyTokenFile(): string {
  const tokens = join(softHsm.directory, 'tokens');
  const file = readdirSync(tokens, { recursive: true, encoding: 'utf8' }).find((name) =>
    name.endsWith('token.object'),
  );
  if (!file) throw new Error('SoftHSM has made no token');
  const path = join(tokens, file);
  renameSync(path, `${path}.whole`);
  writeFileSync(path, '');
  return path;
}

test('a token whose file another process is writing is found when that is done', async () => {
  const path = emptyTokenFile();
  // The look at the token blocks this thread.
  const other = spawn('sh', ['-c', 'sleep 0.15 && mv "$0.whole" "$0"', path], { stdio: 'ignore' });
  const hasWritten = once(other, 'exit');

  const { module, token } = openToken(softHsm.module, { label: softHsm.label });

  expect(token.info.label).toBe(softHsm.label);
  module.finalize();
  await hasWritten;
});

test('a token that stays away is looked for no longer than a moment', () => {
  emptyTokenFile();
  const startedAtMs = performance.now();

  const opening = () => openToken(softHsm.module, { label: softHsm.label });

  expect(opening).toThrow(/no token has label "test"; tokens found in .*: none/);
  expect(performance.now() - startedAtMs).toBeGreaterThan(150);
});
