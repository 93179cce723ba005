import { createHmac, randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { type Client, connect } from '../../src/client/client.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { processTree } from '../support/processes.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

const DATA = Buffer.from('data');

/** From the answer of GetImportKey on, an import is over within this time on most machines. */
const IMPORT_MS = 60;

const WRITER_KILLS = 50;
const DAEMON_KILLS = 50;

/** Each round starts processes and makes key pairs, which takes a busy machine long. */
vi.setConfig({ testTimeout: 1_800_000 });

const cleanUps: (() => Promise<unknown> | unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** Which host changes the token now. */
function writerPid({ logLines }: Daemon): number | undefined {
  const started = logLines.filter(({ msg }) => msg === 'the token host for changes is logged in');
  return started.at(-1)?.['hostPid'] as number | undefined;
}

function kill(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/** Imports a key, repeated with one request id until that succeeds. */
async function importKey(client: Client, name: string, secret: Buffer): Promise<void> {
  const options = {
    algorithm: 'HMAC_SHA256',
    secret,
    requestId: name,
    deadlineMs: 40_000,
  } as const;
  await client.keys.import(name, options).catch((error: { reason?: string }) => {
    // The second import key was lost too.
    if (error.reason !== 'IMPORT_KEY_NOT_FOUND') throw error;
    return client.keys.import(name, options);
  });
}

/**
 * The labels of all that stands on the token, by another program. What has none is nobody's: SoftHSM
 * 2.6 leaves that where it is killed while it opens a file for a new object.
 */
function labels(softHsm: SoftHsm): string[] {
  const found = softHsm.pkcs11Tool('--list-objects').matchAll(/^ +label: +(?<label>\S+)$/gm);
  return [...found].map(({ groups }) => groups?.['label'] ?? '').sort();
}

async function expectKeys(client: Client, softHsm: SoftHsm, secrets: ReadonlyMap<string, Buffer>) {
  for (const [name, secret] of secrets) {
    const { signature } = await client.key(name).sign(DATA, { deadlineMs: 20_000 });
    expect(Buffer.from(signature)).toEqual(createHmac('sha256', secret).update(DATA).digest());
  }
  expect(labels(softHsm)).toEqual(['sigild:canary', ...secrets.keys()].sort());
}

test('an import whose token host is killed is done once, and leaves nothing beside', async () => {
  const softHsm = createSoftHsm();
  cleanUps.push(() => softHsm.remove());
  const daemon = await startDaemon(softHsm);
  cleanUps.push(() => daemon.stop());
  const client = connect({ address: daemon.addresses[0] as string });
  cleanUps.push(() => client.close());
  const secrets = new Map<string, Buffer>();

  for (let round = 0; round < WRITER_KILLS; round++) {
    const name = `writer-${round}`;
    const secret = randomBytes(40);
    secrets.set(name, secret);
    const importing = importKey(client, name, secret);
    await importKeyOffered(daemon, round);
    await pause(Math.random() * IMPORT_MS);
    kill(writerPid(daemon));
    await importing;
  }

  await expectKeys(client, softHsm, secrets);
});

test('an import whose daemon is killed can be repeated, and leaves nothing beside', async () => {
  const softHsm = createSoftHsm();
  cleanUps.push(() => softHsm.remove());
  const secrets = new Map<string, Buffer>();
  let daemon = await startDaemon(softHsm);
  cleanUps.push(() => daemon.stop());

  for (let round = 0; round < DAEMON_KILLS; round++) {
    const name = `daemon-${round}`;
    const secret = randomBytes(40);
    secrets.set(name, secret);
    const client = connect({ address: daemon.addresses[0] as string });
    const importing = importKey(client, name, secret);
    await importKeyOffered(daemon, 0);
    await pause(Math.random() * IMPORT_MS);
    await softHsm.kill(processTree(daemon.process.pid as number));
    await daemon.exited;
    daemon = await startDaemon(softHsm);
    await importing;
    await client.close();
  }

  const client = connect({ address: daemon.addresses[0] as string });
  cleanUps.push(() => client.close());
  await expectKeys(client, softHsm, secrets);
});

/** Waits until the daemon has answered one more GetImportKey than so many. */
async function importKeyOffered({ logLines }: Daemon, before: number): Promise<void> {
  const answered = () =>
    logLines.filter(({ method, outcome }) => method === 'GetImportKey' && outcome === 'OK').length;
  await expect.poll(answered, { timeout: 30_000, interval: 2 }).toBeGreaterThan(before);
}
