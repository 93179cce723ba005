import { randomBytes } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { type CheckedLoad, startCheckedLoad } from '../support/checked-load.ts';
import { connectClient, type TestClient } from '../support/client.ts';
import { baseConfig, type Daemon, startDaemon } from '../support/daemon.ts';
import { checkHealth, connectHealth, type HealthClient } from '../support/health-client.ts';
import { hostPids } from '../support/host-pids.ts';
import { P11KitServer } from '../support/p11-kit-server.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

vi.setConfig({ testTimeout: 400_000 });

const CALLERS = 8;

const LIMIT_MS = 120_000;

/** What callers may be told while the token is away, and nothing else. */
const AWAY: readonly number[] = [status.UNAVAILABLE, status.DEADLINE_EXCEEDED];

let softHsm: SoftHsm;
let server: P11KitServer;
let daemon: Daemon;
let client: TestClient;
let health: HealthClient;
let load: CheckedLoad;

beforeAll(async () => {
  softHsm = createSoftHsm();
  const keys = new Map(['adopted-one', 'adopted-two'].map((name) => [name, randomBytes(32)]));
  for (const [label, value] of keys) softHsm.writeKey({ label, value });
  server = new P11KitServer(softHsm);
  await server.start();
  const { token } = baseConfig(softHsm);
  daemon = await startDaemon(softHsm, {
    config: {
      token: {
        ...(token as object),
        module: server.module,
        callTimeoutMs: 1_000,
      },
    },
    environment: server.environment,
  });
  client = connectClient(daemon.addresses[0] as string);
  health = connectHealth(daemon.addresses[0] as string);
  load = startCheckedLoad(client, keys, CALLERS);
});

afterAll(async () => {
  await load?.end();
  client?.close();
  health?.close();
  await daemon?.stop();
  await server?.kill();
  softHsm?.remove();
});

/** The hosts that were there before a test. */
let before: readonly number[];

beforeEach(async () => {
  await serves();
  before = hostPids(daemon);
});

afterEach(() => {
  expect(load.wrong).toEqual([]);
  expect(load.failures.filter(({ code }) => !AWAY.includes(code))).toEqual([]);
  expect(daemon.process.exitCode).toBeNull();
});

/** Waits until both hosts serve, and callers have right answers. */
async function serves(): Promise<void> {
  await until(() => hostPids(daemon).length === 2, LIMIT_MS);
  await until(async () => (await checkHealth(health)) === 'SERVING', LIMIT_MS);
  const target = load.right() + 100;
  await until(() => load.right() >= target, LIMIT_MS);
}

async function servesNoMore(): Promise<void> {
  await until(async () => (await checkHealth(health)) === 'NOT_SERVING', LIMIT_MS);
  const target = load.failures.length + CALLERS;
  await until(() => load.failures.length >= target, LIMIT_MS);
}

/** Waits until the daemon serves again, and looks whether other hosts do. */
async function recoveredByReplacement(): Promise<void> {
  await serves();
  expect(hostPids(daemon).filter((pid) => before.includes(pid))).toEqual([]);
}

test('fault 10 [p11-kit]: a p11-kit server that is killed and started again at once costs new token hosts and no restart', async () => {
  await server.kill();
  await server.start();

  await until(() => !hostPids(daemon).some((pid) => before.includes(pid)), LIMIT_MS);
  await recoveredByReplacement();
});

test('fault 10 [p11-kit]: a p11-kit server that is away makes callers wait or UNAVAILABLE, until it is back', async () => {
  await server.kill();
  await servesNoMore();

  await server.start();

  await recoveredByReplacement();
});

test('fault 10 [p11-kit]: a p11-kit server that is frozen is answered for at each deadline, until it goes on', async () => {
  server.signal('SIGSTOP');
  await servesNoMore();

  server.signal('SIGCONT');

  await recoveredByReplacement();
});
