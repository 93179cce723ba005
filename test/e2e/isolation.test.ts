import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectClient, failureOf, type TestClient } from '../support/client.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { mappedFiles, memoryHolds, openFiles, processTree } from '../support/processes.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

const KEY_VALUE = randomBytes(32);

/** The first key costs the start of a token host. */
const DEADLINE_MS = 15_000;

let softHsm: SoftHsm;
let daemon: Daemon;
let client: TestClient;
let front: number;
let hosts: readonly number[];

beforeAll(async () => {
  softHsm = createSoftHsm();
  softHsm.writeKey({ label: 'adopted-key', value: KEY_VALUE });
  daemon = await startDaemon(softHsm, {
    config: { log: { level: 'trace' } },
    launcher: ['prlimit', '--core=unlimited'],
  });
  client = connectClient(daemon.addresses[0] as string, undefined, DEADLINE_MS);
  // Everything that a host is for, before anybody looks.
  await client.createKey({ key: 'made-key', algorithm: 'HMAC_SHA256' });
  await client.sign({ key: 'adopted-key', data: Buffer.from('data') });
  await failureOf(client.sign({ key: 'missing', data: Buffer.from('data') }));
  front = daemon.process.pid as number;
  const module = realpathSync(softHsm.module);
  await until(() => {
    hosts = processTree(front).filter((pid) => pid !== front);
    return hosts.length >= 2 && hosts.every((pid) => mappedFiles(pid).includes(module));
  });
});

afterAll(async () => {
  client?.close();
  await daemon?.stop();
  softHsm?.remove();
});

test('the hosts let the front go first: their main threads, and at least one lane each', async () => {
  const own = Math.max(...nicenessOf(front));
  const nicer = (host: number) => nicenessOf(host).filter((niceness) => niceness > own).length;

  await until(() => hosts.every((host) => nicer(host) >= 2), DEADLINE_MS);

  expect(own).toBe(Math.min(...nicenessOf(front)));
});

test('the front has not loaded what the hosts have: the PKCS#11 module and its binding', () => {
  const loaded = (pid: number) =>
    mappedFiles(pid).filter((file) => /pkcs11|softhsm/.test(basename(file)));

  for (const host of hosts) expect(loaded(host)).not.toEqual([]);
  expect(loaded(front)).toEqual([]);
});

test('the front has neither the module, nor the PIN file, nor what the token keeps open', () => {
  const opened = openFiles(front).filter((file) => file.startsWith(softHsm.directory));

  expect(opened).toEqual([]);
  expect(openFiles(front)).not.toContain(realpathSync(softHsm.module));
});

test("neither the PIN nor a key's value is in the front's memory", () => {
  expect(memoryHolds(front, Buffer.from(softHsm.pinFile))).toBe(true);
  expect(memoryHolds(front, Buffer.from(softHsm.pin))).toBe(false);
  expect(memoryHolds(front, KEY_VALUE)).toBe(false);
});

test('the PIN is in no log, and in the arguments and the environment of no process', () => {
  const told = daemon.stderr() + JSON.stringify(daemon.logLines);
  const visible = [front, ...hosts].flatMap((pid) =>
    ['cmdline', 'environ'].map((file) => readFileSync(`/proc/${pid}/${file}`, 'utf8')),
  );

  expect(told).not.toContain(softHsm.pin);
  for (const text of visible) expect(text).not.toContain(softHsm.pin);
});

test('no process may leave a core dump, whatever the limit was that the daemon started with', () => {
  for (const pid of [front, ...hosts]) {
    const limits = readFileSync(`/proc/${pid}/limits`, 'utf8');
    expect(limits).toMatch(/^Max core file size +0 +0 +bytes/m);
    expect(readFileSync(`/proc/${pid}/coredump_filter`, 'utf8')).toBe('00000000\n');
  }
});

test('a host that crashes leaves no core file', async () => {
  const [host = 0] = hosts;
  const folder = readlinkSync(`/proc/${host}/cwd`);
  const cores = () => readdirSync(folder).filter((file) => /^core(\.|$)/.test(file));
  const before = cores();

  process.kill(host, 'SIGABRT');
  await until(() => !processTree(front).includes(host), DEADLINE_MS);

  expect(cores()).toEqual(before);
});

/** That of each thread: field 19 of proc(5)'s /proc/PID/task/TID/stat. */
function nicenessOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    // Field 2 is the program's name in parentheses, which may hold anything.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
  });
}
