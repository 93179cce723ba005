import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { type Client, connect } from '../../src/client/client.ts';
import { type Load, startLoad } from '../support/client-load.ts';
import { baseConfig, type Daemon, startDaemon } from '../support/daemon.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { eventually } from '../support/wait.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** Of a call that must live through a start of the daemon on a machine that is busy with tests. */
const PATIENT_MS = 30_000;

let softHsm: SoftHsm;
let daemon: Daemon;
let client: Client;

beforeAll(async () => {
  softHsm = createSoftHsm();
  const maker = await startDaemon(softHsm);
  const admin = connect({ address: maker.addresses[0] ?? '' });
  await admin.keys.create('webhooks', 'HMAC_SHA256');
  await admin.close();
  await maker.stop();
});

beforeEach(async () => {
  daemon = await startDaemon(softHsm);
  client = connect({ address: daemon.addresses[0] ?? '' });
});

afterEach(async () => {
  await client.close();
  await daemon.stop();
});

afterAll(() => softHsm?.remove());

/** 100 callers who sign and verify. */
function startSigning(deadlineMs: number): Load {
  const key = client.key('webhooks');
  return startLoad(100, async (data) => {
    const { signature } = await key.sign(data, { deadlineMs });
    const verification = await key.verify(data, signature, { deadlineMs });
    if (!verification.valid) throw new Error('a signature of its own is not valid');
  });
}

/** A second daemon on the same token, which takes the first one's place on its socket. */
async function startSuccessor(): Promise<Daemon> {
  const path = join(softHsm.directory, 'successor.sock');
  const listeners = [{ unix: path, mode: '0600', client: 'test' }];
  const successor = await startDaemon(softHsm, { config: { ...baseConfig(softHsm), listeners } });
  renameSync(path, join(softHsm.directory, 'sigild.sock'));
  return successor;
}

test('sends calls that are made at once in one frame', async () => {
  const key = client.key('webhooks');

  await Promise.all(Array.from({ length: 100 }, (_, index) => key.sign(Buffer.from([index]))));

  const frames = () => daemon.logLines.filter((line) => line['method'] === 'Pipeline');
  await eventually(() => expect(frames()).toHaveLength(1));
});

test.each(['SIGTERM', 'SIGKILL'] as const)(
  'fails no call with a deadline of 5 s when %s ends the daemon and another takes its place',
  async (signal) => {
    const load = startSigning(5_000);
    await eventually(() => expect(load.answered()).toBeGreaterThan(200));

    const successor = await startSuccessor();
    const old = daemon;
    daemon = successor;
    old.process.kill(signal);
    await old.exited;
    const before = load.answered();
    await eventually(() => expect(load.answered()).toBeGreaterThan(before + 200));

    expect(await load.end()).toEqual([]);
  },
);

test('fails no call while the daemon is restarted', async () => {
  const load = startSigning(PATIENT_MS);
  await eventually(() => expect(load.answered()).toBeGreaterThan(200));

  await daemon.stop();
  daemon = await startDaemon(softHsm);
  const before = load.answered();
  await eventually(() => expect(load.answered()).toBeGreaterThan(before + 200));

  expect(await load.end()).toEqual([]);
});
