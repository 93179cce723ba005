import { randomBytes } from 'node:crypto';
import { cpSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { EXIT_CODES } from '../../src/lifecycle/exit-codes.ts';
import { type CheckedLoad, startCheckedLoad } from '../support/checked-load.ts';
import { connectClient, failureOf, type TestClient } from '../support/client.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { checkHealth, connectHealth, type HealthClient } from '../support/health-client.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

vi.setConfig({ testTimeout: 120_000 });

const KEY = 'adopted-here';
const CALLERS = 4;

/** Of a call that waits for token hosts to be replaced, on a machine that is busy with tests. */
const PATIENT_MS = 60_000;

let softHsm: SoftHsm;
let daemon: Daemon;
let client: TestClient;
let health: HealthClient;
let load: CheckedLoad;
/** The folder of the module's tokens. */
let tokens: string;

beforeEach(async () => {
  softHsm = createSoftHsm();
  tokens = join(softHsm.directory, 'tokens');
  const value = randomBytes(32);
  softHsm.writeKey({ label: KEY, value });
  daemon = await startDaemon(softHsm);
  client = connectClient(daemon.addresses[0] as string, undefined, PATIENT_MS);
  health = connectHealth(daemon.addresses[0] as string);
  load = startCheckedLoad(client, new Map([[KEY, value]]), CALLERS);
  await until(() => load.right() > 20);
});

afterEach(async () => {
  await load?.end();
  client?.close();
  health?.close();
  await daemon?.stop();
  softHsm?.remove();
});

/** Deletes the token as one step, so that no key is gone before the canary key is. */
function deleteTokens(): void {
  renameSync(tokens, `${tokens}.deleted`);
  rmSync(`${tokens}.deleted`, { recursive: true });
}

function notServing(): Promise<void> {
  return until(async () => (await checkHealth(health)) === 'NOT_SERVING');
}

test('fault 8 [SoftHSM]: a token directory that is deleted makes UNAVAILABLE, never NOT_FOUND, until it is restored', async () => {
  const copy = `${tokens}.copy`;
  cpSync(tokens, copy, { recursive: true });

  deleteTokens();
  await notServing();

  const refused = load.failures.length;
  await until(() => load.failures.length > refused + 20);
  const failure = await failureOf(client.sign({ key: KEY, data: randomBytes(8) }));
  expect(failure).toMatchObject({
    code: status.UNAVAILABLE,
    reason: 'TOKEN_UNAVAILABLE',
    retryDelayMs: expect.any(Number),
  });
  expect(await failureOf(client.getKey({ key: KEY }))).toMatchObject({
    reason: 'TOKEN_UNAVAILABLE',
  });
  expect(await checkHealth(health, 'sigild.v1.SigningService')).toBe('NOT_SERVING');

  renameSync(copy, tokens);
  await until(async () => (await checkHealth(health)) === 'SERVING');
  const right = load.right();
  await until(() => load.right() > right + 20);
  expect(new Set(load.failures.map(({ reason }) => reason))).toEqual(
    new Set(['TOKEN_UNAVAILABLE']),
  );
  expect(load.wrong).toEqual([]);
  expect(daemon.process.exitCode).toBeNull();
  expect(readdirSync(tokens)).toHaveLength(1);
});

test('fault 8 [SoftHSM]: another token of the same label stops the daemon with a message, and no key is NOT_FOUND', async () => {
  const other = createSoftHsm(softHsm.label);
  try {
    deleteTokens();
    cpSync(join(other.directory, 'tokens'), tokens, { recursive: true });
  } finally {
    other.remove();
  }

  const exit = await daemon.exited;

  expect(exit).toBe(EXIT_CODES.CONFIGURATION);
  const last = daemon.logLines.find(({ level }) => level === 'fatal');
  expect(last).toMatchObject({ msg: 'no token host may be started any more: stopping' });
  expect(JSON.stringify(last)).toMatch(/another token has taken its place; restart sigild if/);
  expect(new Set(load.failures.map(({ code }) => code))).toEqual(new Set([status.UNAVAILABLE]));
  expect(load.wrong).toEqual([]);
});
