import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { FaultyDaemon } from '../support/faulty-daemon.ts';
import { setting } from '../support/pkcs11-shim.ts';
import { until } from '../support/wait.ts';

const LOW_LOAD_MS = 10_000;
const BETWEEN_CALLS_MS = 100;

/** Longer than the pause between two probes of a host, as idle limits of tokens are. */
const IDLE_LIMIT_MS = 2_500;

vi.setConfig({ testTimeout: 180_000 });

let faulty: FaultyDaemon;

afterEach(() => faulty?.remove());

/** Makes one call after another, each of which has to succeed. */
async function signSlowly(): Promise<void> {
  const endMs = performance.now() + LOW_LOAD_MS;
  for (let call = 0; performance.now() < endMs; call++) {
    await faulty.signOnce(Buffer.from(`call ${call}`));
    await pause(BETWEEN_CALLS_MS);
  }
}

test('fault 11 [shim]: a token that gives fewer sessions than asked for makes no error at low load', async () => {
  faulty = await FaultyDaemon.start();
  // Of the two sessions that a host may have from now on, one holds the login.
  await faulty.shim.control(setting.sessionLimit(2));
  const replaced = faulty.replacements;
  for (const pid of faulty.hosts) process.kill(pid, 'SIGKILL');
  const short = () =>
    faulty.daemon.logLines.filter(({ msg }) => msg.startsWith('a token host got fewer sessions'));
  await until(() => faulty.replacements === replaced + 2 && short().length === 2);

  await signSlowly();

  expect(short().map((line) => line['sessions'])).toEqual([1, 1]);
  expect(faulty.replacements).toBe(replaced + 2);
});

test('fault 11 [shim]: idle sessions that the token drops are opened again, without an error', async () => {
  faulty = await FaultyDaemon.start({
    token: { sessionsPerHost: 4 },
    config: { health: { intervalMs: 1_000 } },
  });
  const { shim } = faulty;
  await Promise.all(
    Array.from({ length: 64 }, (_, call) => faulty.signOnce(Buffer.from(`burst ${call}`))),
  );
  const opened = shim.calls('C_OpenSession');
  await shim.control(setting.idleLimit(IDLE_LIMIT_MS));
  await pause(2 * IDLE_LIMIT_MS);

  await Promise.all(
    Array.from({ length: 64 }, (_, call) => faulty.signOnce(Buffer.from(`again ${call}`))),
  );
  await signSlowly();

  expect(shim.calls('C_OpenSession')).toBeGreaterThan(opened);
});
