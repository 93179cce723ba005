import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { startLoad } from '../support/client-load.ts';
import { FaultyDaemon, WRONG_MAC } from '../support/faulty-daemon.ts';
import { on, setting } from '../support/pkcs11-shim.ts';

const LOAD_MS = 60_000;
const CALLERS = 32;
const KEYS = 8;
const SESSIONS_PER_HOST = 4;

/** Of each call of C_Sign and of each of four kinds: 5 % in all. */
const CHANCE = 0.0125;

vi.setConfig({ testTimeout: 240_000 });

let faulty: FaultyDaemon;

afterEach(() => faulty?.remove());

test('fault 3 [shim]: a minute of random failures makes no wrong MAC, leaks no session and fails next to no call', async () => {
  faulty = await FaultyDaemon.start({
    keys: KEYS,
    token: { sessionsPerHost: SESSIONS_PER_HOST },
  });
  const { shim } = faulty;
  await shim.control(
    // The lanes' sessions and the one that holds the login: a session that is leaked is one too many.
    setting.sessionLimit(SESSIONS_PER_HOST + 1),
    on('C_Sign').return('CKR_DEVICE_ERROR', { chance: CHANCE }),
    on('C_Sign').returnAfter('CKR_GENERAL_ERROR', { chance: CHANCE }),
    on('C_Sign').loseSession({ chance: CHANCE }),
    on('C_SignInit').return('CKR_KEY_HANDLE_INVALID', { chance: CHANCE }),
  );
  const before = { opens: shim.faults('C_OpenSession'), signs: shim.faults('C_Sign') };
  let index = 0;

  const load = startLoad(CALLERS, (data) => faulty.sign(data, index++));
  await pause(LOAD_MS);
  const failures = (await load.end()).map((failure) => String(failure));

  const faults = shim.faults('C_Sign') - before.signs;
  expect(faults).toBeGreaterThan(100);
  expect(failures.filter((failure) => failure.includes(WRONG_MAC))).toEqual([]);
  expect(failures.length / load.answered()).toBeLessThan(0.005);
  expect(shim.faults('C_OpenSession') - before.opens).toBe(0);
});
