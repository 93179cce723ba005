import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Client, connect } from '../../src/client/client.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { hostPids } from '../support/host-pids.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

const MIB = 1_048_576;
const LARGE_BYTES = 200 * MIB;

/** Much less than the data, and much more than garbage that nobody has collected yet. */
const MAX_GROWTH_BYTES = 100 * MIB;

const value = randomBytes(32);

let softHsm: SoftHsm;
let daemon: Daemon;
let client: Client;

beforeAll(async () => {
  softHsm = createSoftHsm();
  softHsm.writeKey({ label: 'adopted-known', value });
  daemon = await startDaemon(softHsm);
  client = connect({ address: daemon.addresses[0] ?? '' });
});

afterAll(async () => {
  await client?.close();
  await daemon?.stop();
  softHsm?.remove();
});

/** So many bytes in pieces, none of which is there before it is asked for. */
async function* messageOf(bytes: number, told: (piece: Buffer) => void): AsyncGenerator<Buffer> {
  const block = randomBytes(MIB);
  for (let left = bytes; left > 0; left -= block.byteLength) {
    const piece = block.subarray(0, left);
    told(piece);
    yield piece;
  }
}

/** Its resident memory. */
function memoryBytes(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) * 1_024;
}

test('a message of 200 MiB is signed and verified in the memory of a small one', async () => {
  const key = client.key('adopted-known');
  const pids = [daemon.process.pid ?? 0, ...hostPids(daemon)];
  const ignore = () => undefined;
  const { signature: small } = await key.signStream(messageOf(32 * MIB, ignore));
  expect(small).toHaveLength(32);
  const before = pids.map(memoryBytes);
  const most = [...before];
  const watch = () => {
    for (const [index, pid] of pids.entries()) {
      most[index] = Math.max(most[index] ?? 0, memoryBytes(pid));
    }
  };
  const hmac = createHmac('sha256', value);
  let seen: Uint8Array = Buffer.alloc(0);

  const { signature } = await key.signStream(
    messageOf(LARGE_BYTES, (piece) => {
      hmac.update(piece);
      seen = piece;
      watch();
    }),
  );

  expect(Buffer.from(signature).equals(hmac.digest())).toBe(true);
  // The pieces of one message are the same.
  const again = async function* () {
    for (let left = LARGE_BYTES; left > 0; left -= MIB) {
      watch();
      yield seen;
    }
  };
  expect(await key.verifyStream(again(), signature)).toEqual({ valid: true, version: 1 });
  for (const [index, bytes] of most.entries()) {
    expect(bytes - (before[index] ?? 0)).toBeLessThan(MAX_GROWTH_BYTES);
  }
});

test('a stream whose token host is killed fails, and the next one is served', async () => {
  const key = client.key('adopted-known');
  const [victim] = hostPids(daemon);
  const killing = async function* () {
    for (let sent = 0; sent < 10; sent++) yield Buffer.alloc(1_000);
    for (const pid of hostPids(daemon)) process.kill(pid, 'SIGKILL');
    for (;;) {
      yield Buffer.alloc(1_000);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };

  await expect(key.signStream(killing())).rejects.toMatchObject({ reason: 'TOKEN_UNAVAILABLE' });

  await expect.poll(() => hostPids(daemon).includes(victim ?? 0), { timeout: 30_000 }).toBe(false);
  const data = Buffer.from('data');
  const serves = async () => {
    const { signature } = await key.signStream(messageOf(0, () => undefined));
    return signature.length;
  };
  await expect.poll(() => serves().catch(() => 0), { timeout: 30_000 }).toBe(32);
  expect((await key.sign(data)).version).toBe(1);
});

test('a daemon that stops lets a stream come to its end', async () => {
  const other = await startDaemon(softHsm, {
    config: { listeners: [{ tcp: '127.0.0.1:0', plaintext: true, client: 'test' }] },
  });
  const user = connect({ address: other.addresses[0] ?? '' });
  const slow = async function* () {
    yield Buffer.from('da');
    const stopped = other.stop();
    await new Promise((resolve) => setTimeout(resolve, 500));
    yield Buffer.from('ta');
    void stopped;
  };

  const { signature } = await user.key('adopted-known').signStream(slow());

  expect(Buffer.from(signature)).toEqual(createHmac('sha256', value).update('data').digest());
  await user.close();
  expect(await other.exited).toBe(0);
});
