import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import {
  type Daemon,
  type DaemonOptions,
  EVERYTHING,
  runDaemonToEnd,
  startDaemon,
} from '../support/daemon.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 });

const ROOT = join(import.meta.dirname, '../..');
const PROGRAM = join(ROOT, 'test/support/peer-program.js');

/** Ids that nobody has. */
const [ALICE, BOB, STAFF, OTHERS] = [71_234, 71_235, 72_345, 72_346] as const;

let softHsm: SoftHsm;
let config: Readonly<Record<string, unknown>>;
let daemon: Daemon;

beforeAll(async () => {
  softHsm = createSoftHsm();
  softHsm.writeKey({ label: 'adopted-key', value: randomBytes(32) });
  // Others may pass through to the socket.
  chmodSync(softHsm.directory, 0o711);
  const peers = [
    { uid: ALICE, client: 'alice' },
    { gid: STAFF, client: 'staff' },
    { uid: 'root', client: 'operator' },
  ];
  config = {
    listeners: [{ unix: join(softHsm.directory, 'peers.sock'), mode: '0666', peers }],
    clients: peers.map(({ client }) => ({ name: client, grants: EVERYTHING })),
  };
  daemon = await startDaemon(softHsm, { config });
});

afterAll(async () => {
  await daemon?.stop();
  softHsm?.remove();
});

const NOT_ROOT = 'nothing tried: this is not root, who alone can become other users';
const isRoot = process.getuid?.() === 0;

/** Signs as a process of a user: UID, GID, and supplementary groups. */
function signAs(expected: 'signed' | 'refused', ids: readonly number[]): string {
  const args = [PROGRAM, daemon.addresses[0] ?? '', expected, ...ids.map(String)];
  return execFileSync(process.execPath, args, { encoding: 'utf8' });
}

test.for([
  ['its user', 'alice', [ALICE, OTHERS]],
  ['its group', 'staff', [BOB, STAFF]],
  ['one of its supplementary groups', 'staff', [BOB, OTHERS, OTHERS, STAFF]],
  ['the first rule that is about it', 'alice', [ALICE, STAFF]],
  ["its user's name", 'operator', [0, 0]],
] as const)('a process is the client of %s', async ([, client, ids], { annotate }) => {
  if (!isRoot) return void annotate(NOT_ROOT);
  const seen = daemon.logLines.length;

  expect(signAs('signed', ids)).toBe('signed');

  const requests = () => daemon.logLines.slice(seen).filter(({ msg }) => msg === 'request');
  await until(() => requests().length > 0);
  expect(requests()[0]).toMatchObject({
    client,
    peer: expect.stringContaining(`(uid ${ids[0]}, gid ${ids[1]}, pid `),
  });
});

test('a process that no rule is about is refused, and the log tells who it was', async ({
  annotate,
}) => {
  if (!isRoot) return void annotate(NOT_ROOT);

  expect(signAs('refused', [BOB, OTHERS])).toBe('DEADLINE_EXCEEDED');

  const refusal = () => daemon.logLines.find(({ msg }) => msg === 'a connection was refused');
  await until(() => refusal() !== undefined);
  expect(refusal()).toMatchObject({
    listener: daemon.addresses[0],
    peer: expect.stringMatching(new RegExp(`^uid ${BOB}, gid ${OTHERS}, pid \\d+$`)),
    reason: 'no client is this user or group',
  });
});

test('a user who is not there ends the start with 78', async () => {
  const { exit, stderr } = await runWith({ uid: 'nobody-has-this-name', client: 'alice' });

  expect(exit).toBe(78);
  expect(stderr).toContain('there is no user nobody-has-this-name');
});

test('a user namespace, in which users look alike, ends the start with 78', async () => {
  const launcher = ['unshare', '--user', '--map-root-user'] as const;

  const { exit, stderr } = await runWith({ uid: ALICE, client: 'alice' }, { launcher });

  expect(exit).toBe(78);
  expect(stderr).toContain('PrivateUsers=');
});

test('a daemon without its native part refuses to know peers, and says what to do', async () => {
  const bare = join(softHsm.directory, 'bare');
  mkdirSync(bare);
  for (const folder of ['dist', 'proto']) cpSync(join(ROOT, folder), join(bare, folder), COPY);
  symlinkSync(join(ROOT, 'node_modules'), join(bare, 'node_modules'));
  cpSync(join(ROOT, 'package.json'), join(bare, 'package.json'));
  const program = join(bare, 'dist/main.js');

  const { exit, stderr } = await runWith({ uid: ALICE, client: 'alice' }, { program });

  expect(exit).toBe(78);
  expect(stderr).toContain('native/build.sh');
});

const COPY = { recursive: true };

/** Runs a daemon that knows its clients by one rule, to its end. */
function runWith(rule: object, options: Pick<DaemonOptions, 'launcher' | 'program'> = {}) {
  const listener = { unix: join(softHsm.directory, 'other.sock'), peers: [rule] };
  return runDaemonToEnd(softHsm, {
    ...options,
    config: { ...config, listeners: [listener] },
  });
}
