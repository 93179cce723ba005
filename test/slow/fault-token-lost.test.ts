import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { startLoad } from '../support/client-load.ts';
import { FaultyDaemon } from '../support/faulty-daemon.ts';
import { setting } from '../support/pkcs11-shim.ts';
import { until } from '../support/wait.ts';

const AWAY_MS = 30_000;

/** The longest pause between two starts of a host, and what a start takes on a busy machine. */
const BACKOFF_STEP_MS = 5_000;
const HOST_START_MS = 5_000;

const CALLERS = 8;
const REFUSED_PAUSE_MS = 100;

vi.setConfig({ testTimeout: 180_000 });

let faulty: FaultyDaemon;

afterEach(() => faulty?.remove());

/** Counts logins and starts of token hosts from now on. */
function countLogins() {
  const { shim } = faulty;
  const before = { logins: shim.calls('C_Login'), starts: shim.calls('C_Initialize') };
  return () => ({
    logins: shim.calls('C_Login') - before.logins,
    starts: shim.calls('C_Initialize') - before.starts,
  });
}

/** Signs; who is refused waits a moment. */
async function signPatiently(data: Buffer): Promise<void> {
  try {
    await faulty.signOnce(data);
  } catch (error) {
    await pause(REFUSED_PAUSE_MS);
    throw error;
  }
}

test('fault 4 [shim]: a token that is removed for 30 s is NOT_SERVING in 2 s, and back in a backoff step', async () => {
  // How often health is measured is the default.
  faulty = await FaultyDaemon.start({ config: { health: {} } });
  const counts = countLogins();
  const load = startLoad(CALLERS, signPatiently);
  await until(() => load.answered() > 100);

  await faulty.shim.control(setting.removeToken('CKR_DEVICE_REMOVED'));
  const downAfterMs = await faulty.healthBecomes('NOT_SERVING', BACKOFF_STEP_MS);
  await until(() => faulty.hosts.length === 0);
  const answeredBefore = load.answered();
  await pause(AWAY_MS);
  const answeredWhileAway = load.answered() - answeredBefore;
  await faulty.shim.control();
  await faulty.healthBecomes('SERVING', BACKOFF_STEP_MS + HOST_START_MS);
  const target = load.answered() + 100;
  await until(() => load.answered() > target);

  const reasons = (await load.end()).map((failure) => String(failure));
  expect(downAfterMs).toBeLessThan(2_000);
  expect(answeredWhileAway).toBe(0);
  expect(reasons.filter((reason) => !reason.includes('UNAVAILABLE'))).toEqual([]);
  await faulty.hostsServe(2);
  const { logins, starts } = counts();
  expect(logins).toBeGreaterThanOrEqual(2);
  expect(logins).toBeLessThanOrEqual(starts);
});

test('fault 4 [shim]: sessions and logins that the token drops cost one login a host, and no call', async () => {
  faulty = await FaultyDaemon.start();
  const counts = countLogins();
  const load = startLoad(CALLERS, (data) => faulty.sign(data));

  for (const line of [setting.loseSessions(), setting.logOut()]) {
    const target = load.answered() + 200;
    await until(() => load.answered() > target);
    const replaced = faulty.replacements;
    await faulty.shim.control(line);
    await until(() => faulty.replacements >= replaced + 2 && faulty.hosts.length === 2);
    await faulty.shim.control();
  }

  expect(await load.end()).toEqual([]);
  const { logins, starts } = counts();
  expect(logins).toBeGreaterThanOrEqual(4);
  expect(logins).toBeLessThanOrEqual(starts);
});
