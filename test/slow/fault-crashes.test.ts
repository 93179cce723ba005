import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, expect, test, vi } from 'vitest';
import { startLoad } from '../support/client-load.ts';
import { FaultyDaemon } from '../support/faulty-daemon.ts';
import { on } from '../support/pkcs11-shim.ts';
import { until } from '../support/wait.ts';

const CALLERS = 32;
const CRASHES = 3;
const SIGNS_BETWEEN = 1_500;

/** In a folder of the test's own, where a process would leave its core file if the daemon let it. */
const WITH_CORES = 'cd "$(dirname "$SOFTHSM2_CONF")" && ulimit -c unlimited && exec "$@"';

vi.setConfig({ testTimeout: 180_000 });

let faulty: FaultyDaemon;

afterEach(() => faulty?.remove());

test('fault 6 [shim]: a module that aborts and segfaults under load fails no call of 5 s, loses no result, leaves no core', async () => {
  faulty = await FaultyDaemon.start({ launcher: ['sh', '-c', WITH_CORES, 'sh'] });
  const { shim } = faulty;
  const load = startLoad(CALLERS, (data) => faulty.signOnce(data));

  for (let crash = 1; crash <= CRASHES; crash++) {
    for (const line of [
      on('C_Sign').abort({ times: 1 }),
      on('C_SignInit').segfault({ times: 1 }),
    ]) {
      const target = load.answered() + SIGNS_BETWEEN;
      await until(() => load.answered() > target);
      const replaced = faulty.replacements;
      await shim.control(line);
      await until(() => faulty.replacements > replaced && faulty.hosts.length === 2);
    }
  }

  expect(await load.end()).toEqual([]);
  expect(shim.faults('C_Sign') + shim.faults('C_SignInit')).toBe(2 * CRASHES);
  expect(readdirSync(faulty.softHsm.directory).filter((name) => name.startsWith('core'))).toEqual(
    [],
  );
  for (const pid of faulty.hosts) {
    expect(readFileSync(`/proc/${pid}/limits`, 'utf8')).toMatch(/^Max core file size +0 +0 /m);
  }
});
