import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { startLoad } from '../support/client-load.ts';
import { IdleProcess, LatenessProbe } from '../support/event-loop-lateness.ts';
import { FaultyDaemon } from '../support/faulty-daemon.ts';
import { on } from '../support/pkcs11-shim.ts';

const HOSTS = 2;
const SESSIONS_PER_HOST = 4;
const SESSIONS = HOSTS * SESSIONS_PER_HOST;

const WARM_UP_MS = 2_000;
const MEASURED_MS = 6_000;

/** So many callers keep every session busy, and wait no longer than their deadline. */
const CALLERS = 8 * SESSIONS;

/** How late an event loop may be. */
const LATE_MS = 10;

vi.setConfig({ testTimeout: 120_000 });

let faulty: FaultyDaemon;
let probe: LatenessProbe;
let idle: IdleProcess;

beforeAll(async () => {
  probe = new LatenessProbe();
  idle = new IdleProcess();
  faulty = await FaultyDaemon.start({
    keys: SESSIONS,
    token: { hosts: HOSTS, sessionsPerHost: SESSIONS_PER_HOST, warmKeys: 'on' },
    environment: probe.environment,
    config: { log: { level: 'info' } },
  });
});

afterAll(async () => {
  await faulty?.remove();
  await idle?.end();
  probe?.remove();
});

/**
 * Signs for a while.
 *
 * @returns `share`: signs a second over sessions / latency, with the latency that the token has really
 *   had, since timers ring late
 */
async function measure() {
  const { shim, daemon } = faulty;
  let index = 0;
  const load = startLoad(CALLERS, (data) => faulty.sign(data, index++));
  await pause(WARM_UP_MS);
  const before = { delayMs: shim.delayMs('C_Sign'), atMs: performance.now() };
  const pid = daemon.process.pid as number;
  await Promise.all([probe.take(pid), idle.take()]);
  await pause(MEASURED_MS);
  const share =
    (shim.delayMs('C_Sign') - before.delayMs) / (SESSIONS * (performance.now() - before.atMs));
  const [front, machine] = await Promise.all([probe.take(pid), idle.take()]);
  return { share, front, machine, failures: await load.end() };
}

describe('fault 1 [shim]: a slow token signs sessions / latency times a second, and never delays the event loop', () => {
  // Between two short calls a session waits for its next frame, on a busy machine for a processor too.
  test.each([
    [2, 0.3],
    [20, 0.7],
    [200, 0.85],
  ])('%i ms with jitter', async (delayMs, leastShare) => {
    await faulty.shim.control(on('C_Sign').delay(delayMs, { jitter: delayMs / 2 }));

    const { share, front, machine, failures } = await measure();

    expect(failures).toEqual([]);
    expect(share).toBeGreaterThan(leastShare);
    expect(share).toBeLessThan(1.1);
    // On a machine that is shared an idle process is late, too, and one that works the more so.
    expect(front.busyMs).toBeLessThan(LATE_MS + machine.busyMs);
    expect(front.lateP99Ms).toBeLessThan(LATE_MS + 2 * machine.lateP99Ms);
  });
});
