import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Client, connect } from '../../src/client/client.ts';
import { connectClient, type TestClient } from '../support/client.ts';
import { baseConfig, type Daemon, startDaemon } from '../support/daemon.ts';
import { checkHealth, connectHealth, type HealthClient } from '../support/health-client.ts';
import { hostPids } from '../support/host-pids.ts';
import { type PacedLoad, startPacedLoad } from '../support/paced-load.ts';
import { pkcs11Shim } from '../support/pkcs11-shim.ts';
import { openFiles, processTree, residentMiB } from '../support/processes.ts';
import { type SoakFault, soakFaults } from '../support/soak-faults.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

/** `npm run soak` sets another time. */
const MINUTES = Number(process.env['SIGILD_SOAK_MINUTES'] ?? 10);
const MINUTE_MS = 60_000;

/** Of what the daemon does when as much as it can is asked of it. */
const LOAD = 0.7;

const MAX_OPEN = 256;
const RECOVERY_LIMIT_MS = 300_000;

/** For right answers to calls that were made after a fault. */
const ANSWERS = 2 * MAX_OPEN;

/** What callers may be told while a fault lasts. */
const AWAY: readonly string[] = ['TOKEN_UNAVAILABLE', 'DEADLINE_EXCEEDED'];

/** At the beginning memory grows until code is compiled and buffers are there. */
const WARM_UP_MINUTES = 2;

vi.setConfig({
  testTimeout: (MINUTES + 10) * MINUTE_MS,
  hookTimeout: (2 * MINUTES + 10) * MINUTE_MS,
});

/** What the daemon uses at the end of a minute. */
interface Usage {
  readonly frontMiB: number;
  readonly hostsMiB: number;
  readonly fileDescriptors: number;
  readonly sessions: number;
}

interface Minute {
  readonly fault: string;
  /** From the end of the fault until all hosts serve and calls have right answers. */
  readonly recoveryMs: number;
  readonly usage: Usage;
}

let softHsm: SoftHsm;
let daemon: Daemon;
let client: Client;
let admin: TestClient;
let health: HealthClient;
let load: PacedLoad;
const minutes: Minute[] = [];

beforeAll(async () => {
  softHsm = createSoftHsm();
  const keys = new Map(['one', 'two', 'three'].map((name) => [`adopted-${name}`, randomBytes(32)]));
  for (const [label, value] of keys) softHsm.writeKey({ label, value });
  const shim = pkcs11Shim(softHsm);
  const { token } = baseConfig(softHsm);
  daemon = await startDaemon(softHsm, {
    config: {
      token: {
        ...(token as object),
        module: shim.module,
        callTimeoutMs: 1_000,
        startTimeoutMs: 60_000,
      },
      log: { level: 'info' },
    },
    environment: shim.environment,
  });
  const address = daemon.addresses[0] as string;
  client = connect({ address, deadlineMs: 10_000 });
  admin = connectClient(address);
  health = connectHealth(address);

  const callsPerSecond = LOAD * (await capacity(keys));
  load = startPacedLoad(client, keys, { callsPerSecond, maxOpen: MAX_OPEN });
  const faults = inRandomOrder(soakFaults(shim, daemon));
  for (let minute = 0; minute < MINUTES; minute += 1) {
    const endMs = performance.now() + MINUTE_MS;
    const fault = faults[minute % faults.length] as SoakFault;
    await pause(Math.random() * (MINUTE_MS / 4));
    await fault.begin();
    await pause(fault.lastsMs);
    await shim.control();
    const recoveryMs = await recovered();
    await pause(Math.max(0, endMs - performance.now()));
    minutes.push({ fault: fault.name, recoveryMs, usage: await usage() });
    report(minutes.at(-1) as Minute);
  }
  await load.end();
});

afterAll(async () => {
  await client?.close();
  admin?.close();
  health?.close();
  await daemon?.stop();
  softHsm?.remove();
});

/** @returns how many calls a second are answered when as many as may be are open all the time */
async function capacity(keys: ReadonlyMap<string, Buffer>): Promise<number> {
  const full = startPacedLoad(client, keys, { callsPerSecond: 1e6, maxOpen: MAX_OPEN });
  await until(() => full.right() > MAX_OPEN);
  const before = full.right();
  const startMs = performance.now();
  await pause(MINUTE_MS / 12);
  const perSecond = ((full.right() - before) * 1_000) / (performance.now() - startMs);
  await full.end();
  return perSecond;
}

/** Waits until everything is as it was. @returns how long that took */
async function recovered(): Promise<number> {
  const startMs = performance.now();
  const right = load.right();
  await until(() => hostPids(daemon).length === 2, RECOVERY_LIMIT_MS);
  await until(async () => (await checkHealth(health)) === 'SERVING', RECOVERY_LIMIT_MS);
  await until(() => load.right() > right + ANSWERS, RECOVERY_LIMIT_MS);
  return Math.round(performance.now() - startMs);
}

async function usage(): Promise<Usage> {
  // It has the host for changes start again, where that was lost.
  const { token } = await admin.getTokenInfo();
  const front = daemon.process.pid as number;
  const hosts = processTree(front).filter((pid) => pid !== front);
  return {
    frontMiB: residentMiB(front),
    hostsMiB: hosts.reduce((sum, pid) => sum + residentMiB(pid), 0),
    fileDescriptors: openFiles(front).length,
    sessions: (token?.hosts ?? []).reduce((sum, host) => sum + (host.sessions ?? 0), 0),
  };
}

function inRandomOrder<Item>(items: readonly Item[]): readonly Item[] {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .sort((one, other) => one.place - other.place)
    .map(({ item }) => item);
}

function report({ fault, recoveryMs, usage }: Minute): void {
  const { frontMiB, hostsMiB, fileDescriptors, sessions } = usage;
  process.stdout.write(
    `minute ${minutes.length}: ${fault}: recovered in ${recoveryMs} ms; ` +
      `front ${Math.round(frontMiB)} MiB, hosts ${Math.round(hostsMiB)} MiB, ` +
      `${fileDescriptors} file descriptors, ${sessions} sessions; ` +
      `${load.right()} right answers, failures ${JSON.stringify([...load.failures])}\n`,
  );
}

/** The most of the last minutes, by the most of the first ones after the warm-up. */
function growth(figure: (usage: Usage) => number): number {
  const figures = minutes.slice(WARM_UP_MINUTES).map((minute) => figure(minute.usage));
  const half = Math.ceil(figures.length / 2);
  return Math.max(...figures.slice(-half)) / Math.max(...figures.slice(0, half));
}

describe('fault 16 [shim]: a soak at 70 % load with a random fault a minute makes no wrong MAC and leaks nothing', () => {
  test('no answer was wrong, and calls failed in no other way than that the token was away', () => {
    const reasons = [...load.failures.keys()];

    expect(load.wrong()).toBe(0);
    expect(load.right()).toBeGreaterThan(MINUTES * ANSWERS);
    expect(reasons.filter((reason) => !AWAY.includes(reason))).toEqual([]);
  });

  test('all sessions are there after each fault, and no file descriptor stays open', () => {
    const sessions = minutes.map((minute) => minute.usage.sessions);
    const descriptors = minutes.map((minute) => minute.usage.fileDescriptors);

    expect(new Set(sessions)).toEqual(new Set([4]));
    expect(Math.max(...descriptors) - Math.min(...descriptors)).toBeLessThanOrEqual(2);
  });

  test('the memory of front and hosts stays flat', () => {
    expect(growth(({ frontMiB }) => frontMiB)).toBeLessThan(1.25);
    expect(growth(({ hostsMiB }) => hostsMiB)).toBeLessThan(1.25);
  });
});
