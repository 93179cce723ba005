import { existsSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectClient } from '../support/client.ts';
import { runDaemonToEnd, spawnDaemon } from '../support/daemon.ts';
import { openFiles, processTree } from '../support/processes.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

const NAME = 'sigild.socket';
const FIRST_PASSED_FD = 3;

/** The first call waits until the daemon has started. */
const DEADLINE_MS = 15_000;

/** With this listener alone. */
const config = { listeners: [{ systemd: NAME, client: 'test' }] };

let softHsm: SoftHsm;

beforeEach(() => {
  softHsm = createSoftHsm();
});

afterEach(() => softHsm.remove());

test('serves on sockets that the service manager has passed, and leaves them in place', async () => {
  const paths = ['first', 'second'].map((name) => join(softHsm.directory, name));
  const daemon = spawnDaemon(softHsm, {
    config,
    launcher: [
      'systemd-socket-activate',
      ...paths.flatMap((path) => ['--listen', path]),
      `--fdname=${NAME}:${NAME}`,
      '--setenv=SOFTHSM2_CONF',
    ],
  });
  await until(() => paths.every(existsSync));
  const clients = paths.map((path) => connectClient(`unix:${path}`, undefined, DEADLINE_MS));

  await clients[0]?.createKey({ key: 'key', algorithm: 'HMAC_SHA256' });
  const signed = await clients[1]?.sign({ key: 'key', data: Buffer.from('data') });
  const front = daemon.process.pid as number;
  const passed = paths.map((_, index) =>
    readlinkSync(`/proc/${front}/fd/${FIRST_PASSED_FD + index}`),
  );
  const inherited = processTree(front).slice(1).flatMap(openFiles);
  for (const client of clients) client.close();
  const exit = await daemon.stop();

  expect(signed?.signature).toHaveLength(32);
  expect(daemon.logLines.find(({ msg }) => msg === 'serving')).toMatchObject({
    addresses: ['fd:3', 'fd:4'],
  });
  expect(inherited.filter((file) => passed.includes(file))).toEqual([]);
  expect(exit).toBe(0);
  expect(paths.every(existsSync)).toBe(true);
});

test('sockets that are meant for another process end the start with 78', async () => {
  const { exit, stderr } = await runDaemonToEnd(softHsm, {
    config,
    environment: { LISTEN_PID: '1', LISTEN_FDS: '1', LISTEN_FDNAMES: NAME },
  });

  expect(exit).toBe(78);
  expect(stderr).toContain(`no socket with the FileDescriptorName ${NAME} (it has passed none)`);
});
