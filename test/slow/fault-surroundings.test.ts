import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, expect, test, vi } from 'vitest';
import { connectClient } from '../support/client.ts';
import { startLoad } from '../support/client-load.ts';
import { FaultyDaemon } from '../support/faulty-daemon.ts';
import { checkHealth } from '../support/health-client.ts';
import { on } from '../support/pkcs11-shim.ts';
import { openFiles } from '../support/processes.ts';
import { until } from '../support/wait.ts';

const DAY_MS = 86_400_000;
const CLOCK = pathToFileURL(join(import.meta.dirname, '../support/clock-jump.js'));

/** File descriptors of the front, and of each host that it starts then. */
const MOST_FILES = 128;
const CALLERS = 8;

const data = Buffer.from('data');

vi.setConfig({ testTimeout: 180_000 });

const cleanUps: (() => Promise<unknown> | unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

test('fault 15 [shim]: a wall clock that jumps by a day, forth and back, costs no call and no health', async () => {
  const file = join(tmpdir(), `sigild-clock-${process.pid}`);
  cleanUps.push(() => rmSync(file, { force: true }));
  const faulty = await FaultyDaemon.start({
    environment: { NODE_OPTIONS: `--import=${CLOCK}`, SIGILD_TEST_CLOCK_FILE: file },
  });
  cleanUps.push(() => faulty.remove());
  // So long that calls are under way whenever the clock jumps.
  await faulty.shim.control(on('C_Sign').delay(50));
  const load = startLoad(CALLERS, (message) => faulty.signOnce(message));
  const loggedTimes = () => faulty.daemon.logLines.map(({ time }) => Date.parse(time as string));

  for (const [jump, days] of [1, -1, 0].entries()) {
    writeFileSync(file, String(days * DAY_MS));
    faulty.daemon.process.kill('SIGUSR2');
    const target = load.answered() + 100;
    await until(() => load.answered() > target);
    expect(await checkHealth(faulty.health)).toBe('SERVING');
    await faulty.plain.createKey({ key: `jump-${jump}`, algorithm: 'HMAC_SHA256' });
    await faulty.plain.sign({ key: `jump-${jump}`, data });
  }

  expect(await load.end()).toEqual([]);
  expect(faulty.replacements).toBe(0);
  expect(Math.max(...loggedTimes())).toBeGreaterThan(Date.now() + DAY_MS / 2);
  expect(Math.min(...loggedTimes())).toBeLessThan(Date.now() - DAY_MS / 2);
});

/** Opens connections that say nothing, until the daemon closes them: it has no descriptor left. */
async function openUntilRefused(path: string): Promise<readonly Socket[]> {
  const sockets: Socket[] = [];
  let refused = 0;
  while (refused < 3) {
    const socket = connect(path).on('error', () => undefined);
    socket.once('close', () => {
      refused += 1;
    });
    sockets.push(socket);
    await once(socket, 'connect');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return sockets;
}

test('fault 15 [shim]: without a free file descriptor open connections are served, and all is well afterwards', async () => {
  // In a process group of its own, which a signal of its own would end alone.
  const faulty = await FaultyDaemon.start({ launcher: ['setsid'] });
  cleanUps.push(() => faulty.remove());
  const { daemon, softHsm } = faulty;
  await faulty.signOnce(data);
  await faulty.sign(data);
  await checkHealth(faulty.health);
  const pid = String(daemon.process.pid);
  execFileSync('prlimit', ['--pid', pid, `--nofile=${MOST_FILES}:${MOST_FILES}`]);
  const sockets = await openUntilRefused(join(softHsm.directory, 'sigild.sock'));
  cleanUps.push(() => sockets.forEach((socket) => void socket.destroy()));
  const openThen = openFiles(daemon.process.pid as number).length;

  const load = startLoad(CALLERS, (message) => faulty.signOnce(message));
  process.kill(faulty.hosts[0] as number, 'SIGKILL');
  const failed = () => daemon.logLines.some(({ msg }) => msg === 'a token host could not start');
  await until(failed);
  const target = load.answered() + 200;
  await until(() => load.answered() > target);
  const healthThen = await checkHealth(faulty.health);

  for (const socket of sockets) socket.destroy();
  await faulty.hostsServe(2);
  const another = connectClient(daemon.addresses[0] as string);
  cleanUps.push(() => another.close());
  await another.sign({ key: 'adopted-0', data });

  expect(await load.end()).toEqual([]);
  expect(openThen).toBeGreaterThanOrEqual(MOST_FILES - 2);
  expect(healthThen).toBe('SERVING');
});
