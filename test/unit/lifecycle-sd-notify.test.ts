import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { createSocket } from 'unix-dgram';
import { expect, onTestFinished, test, vi } from 'vitest';
import { serviceManager } from '../../src/lifecycle/sd-notify.ts';
import { startWatchdog } from '../../src/lifecycle/watchdog.ts';

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sigild-notify-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A service manager's end of a socket with a path. */
function listenOnPath() {
  const path = join(temporaryFolder(), 'notify');
  const messages: string[] = [];
  const socket = createSocket('unix_dgram', (message) => messages.push(message.toString()));
  socket.bind(path);
  onTestFinished(() => socket.close());
  return { path, messages };
}

/** A service manager's end of an abstract socket, which Node and its packages cannot make. */
async function listenOnAbstractSocket() {
  const name = `sigild-test-${process.pid}`;
  const program = `
import socket
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind('\\0${name}')
receiver.settimeout(15)
print('bound', flush=True)
while True:
    message = receiver.recv(4096).decode()
    # systemd-notify waits, by this message, until those before it have been taken.
    if message != 'BARRIER=1':
        print(message, flush=True)
`;
  const python = spawn('/usr/bin/python3', ['-c', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void python.kill('SIGKILL'));
  const lines: string[] = [];
  createInterface(python.stdout).on('line', (line) => lines.push(line));
  await vi.waitUntil(() => lines.includes('bound'), { timeout: 10_000 });
  return { path: `@${name}`, messages: () => lines.slice(1) };
}

test('tells systemd of each step, on a socket with a path', async () => {
  const { path, messages } = listenOnPath();
  const failures: unknown[] = [];
  const manager = serviceManager(path, (error) => failures.push(error));

  await manager.status('waiting for the token');
  await manager.ready();
  await manager.alive();
  await manager.stopping();
  await vi.waitUntil(() => messages.length === 4);

  expect(messages).toEqual(['STATUS=waiting for the token', 'READY=1', 'WATCHDOG=1', 'STOPPING=1']);
  expect(failures).toEqual([]);
});

test('speaks through systemd-notify where the socket is abstract', async () => {
  const { path, messages } = await listenOnAbstractSocket();
  const failures: unknown[] = [];
  const manager = serviceManager(path, (error) => failures.push(error));

  await manager.ready();
  await vi.waitUntil(() => messages().length > 0);

  expect(messages()).toEqual(['READY=1']);
  expect(failures).toEqual([]);
});

test('keeps a status from saying more than a status', async () => {
  const { path, messages } = listenOnPath();
  const manager = serviceManager(path, () => {});

  await manager.status('serving\nMAINPID=1');
  await vi.waitUntil(() => messages.length > 0);

  expect(messages).toEqual(['STATUS=serving MAINPID=1']);
});

test('says nothing where no service manager listens', async () => {
  const failures: unknown[] = [];
  const manager = serviceManager(undefined, (error) => failures.push(error));

  await manager.ready();

  expect(failures).toEqual([]);
});

test('reports the first message that is lost, and does not fail', async () => {
  const failures: unknown[] = [];
  const nowhere = join(temporaryFolder(), 'nobody');
  const manager = serviceManager(nowhere, (error) => failures.push(error));

  await manager.ready();
  await manager.alive();

  expect(failures).toEqual([
    expect.objectContaining({ message: expect.stringMatching(/hears nothing.*systemd-notify/s) }),
  ]);
});

test('feeds the watchdog from the event loop', async () => {
  const { path, messages } = listenOnPath();
  const manager = serviceManager(path, () => {});

  const stop = startWatchdog(100, () => manager.alive());
  await vi.waitUntil(() => messages.length >= 2);
  stop();
  await delay(10);
  const fed = messages.length;
  await delay(200);

  expect(new Set(messages)).toEqual(new Set(['WATCHDOG=1']));
  expect(messages).toHaveLength(fed);
});
