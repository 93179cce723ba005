import { createHmac, randomBytes } from 'node:crypto';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Client, connect } from '../../src/client/client.ts';
import { type Load, startLoad } from '../support/client-load.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { type Nginx, startNginx } from '../support/nginx.ts';
import { processTree } from '../support/processes.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

const KEY = 'adopted-load';
const VALUE = randomBytes(32);

/** Of the client's calls, on a machine that is busy with tests. */
const DEADLINE_MS = 30_000;

/** Too large for a frame: it travels in a call of its own. */
const LARGE_BYTES = 300 * 1024;

const PIPELINE_CALLERS = 48;
const UNARY_CALLERS = 4;

let softHsm: SoftHsm;
let nginx: Nginx;
let clients: readonly Client[];
let loads: readonly Load[];
/** The first daemons, on a.sock and b.sock. */
let places: [Daemon, Daemon];
/** All that were ever started. */
const daemons: Daemon[] = [];

beforeAll(async () => {
  softHsm = createSoftHsm();
  softHsm.writeKey({ label: KEY, value: VALUE });
  places = await Promise.all([startOn('a.sock'), startOn('b.sock')]);
  const sockets = [join(softHsm.directory, 'a.sock'), join(softHsm.directory, 'b.sock')] as const;
  nginx = await startNginx(softHsm.directory, sockets);
  clients = [1, 2].map(() => connect({ address: nginx.address, deadlineMs: DEADLINE_MS }));
});

afterAll(async () => {
  await Promise.all(loads?.map((load) => load.end()) ?? []);
  await Promise.all(clients?.map((client) => client.close()) ?? []);
  await nginx?.stop();
  await Promise.all(daemons.map((daemon) => daemon.stop()));
  softHsm?.remove();
});

async function startOn(socket: string): Promise<Daemon> {
  const listeners = [{ unix: join(softHsm.directory, socket), mode: '0600', client: 'test' }];
  const daemon = await startDaemon(softHsm, { config: { listeners } });
  daemons.push(daemon);
  return daemon;
}

/** Callers whose calls travel in frames, and callers whose calls do not; all check their answers. */
function startCallers(): readonly Load[] {
  return clients.flatMap((client) => {
    const sign = async (data: Buffer) => {
      const { signature } = await client.key(KEY).sign(data);
      const expected = createHmac('sha256', VALUE).update(data).digest();
      if (!expected.equals(signature)) throw new Error('a wrong MAC');
    };
    const verify = async (data: Buffer) => {
      const signature = createHmac('sha256', VALUE).update(data).digest();
      const { valid } = await client.key(KEY).verify(data, signature);
      if (!valid) throw new Error('a right MAC is not valid');
    };
    return [
      startLoad(PIPELINE_CALLERS, async (data) => {
        await sign(data);
        await verify(data);
      }),
      startLoad(UNARY_CALLERS, async (data) => {
        await sign(Buffer.concat([data, Buffer.alloc(LARGE_BYTES)]));
        await client.keys.get(KEY);
      }),
    ];
  });
}

/** Waits until each of the loads has had so many more answers. */
async function untilAnswered(more: number): Promise<void> {
  const targets = loads.map((load) => load.answered() + more);
  await until(() => loads.every((load, index) => load.answered() >= (targets[index] ?? 0)), 60_000);
}

test('fault 17 [SoftHSM]: of two daemons behind nginx one is killed, drained and upgraded in turn, and no call of the client fails', async () => {
  loads = startCallers();
  await untilAnswered(20);
  const [first, second] = places;

  // Killed, with all of its processes.
  await softHsm.kill(processTree(first.process.pid as number));
  await first.exited;
  await untilAnswered(20);
  const third = await startOn('a.sock');

  // Drained, and started again some time later.
  expect(await second.stop()).toBe(0);
  await untilAnswered(20);
  await startOn('b.sock');
  await untilAnswered(20);

  // Upgraded: the new one takes the socket before the old one drains.
  const upgraded = await startOn('new.sock');
  renameSync(join(softHsm.directory, 'new.sock'), join(softHsm.directory, 'a.sock'));
  expect(await third.stop()).toBe(0);
  await untilAnswered(20);

  const failures = await Promise.all(loads.map((load) => load.end()));
  expect(failures.flat()).toEqual([]);
  const served = (daemon: Daemon) => daemon.logLines.some(({ method }) => method === 'Sign');
  expect(daemons.filter((daemon) => !served(daemon))).toEqual([]);
  expect(upgraded.process.exitCode).toBeNull();
});
