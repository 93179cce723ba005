import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { connectClient, type TestClient } from '../support/client.ts';
import { type Daemon, EVERYTHING, startDaemon } from '../support/daemon.ts';
import { startFlood } from '../support/h2load-flood.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

const ITEM = { key: 'shop', data: Buffer.alloc(100) };

const STREAMS = 5_000;
const ROUNDS = 4;
/** Of each round with the flood, and of each without. */
const CALLS = 1_000;

vi.setConfig({ testTimeout: 600_000 });

let softHsm: SoftHsm;
let daemon: Daemon;
let polite: TestClient;

beforeAll(async () => {
  softHsm = createSoftHsm();
  daemon = await startDaemon(softHsm, {
    config: {
      listeners: [
        { unix: join(softHsm.directory, 'sigild.sock'), mode: '0600', client: 'polite' },
        { tcp: '127.0.0.1:0', plaintext: true, client: 'greedy' },
      ],
      clients: ['polite', 'greedy'].map((name) => ({ name, grants: EVERYTHING })),
      log: { level: 'info' },
    },
  });
  polite = connectClient(daemon.addresses[0] ?? '', undefined, 60_000);
  await polite.createKey({ key: 'shop', algorithm: 'HMAC_SHA256', requestId: 'one' });
});

afterAll(async () => {
  polite.close();
  await daemon.stop();
  softHsm.remove();
});

/** @returns how long each of so many calls took, in milliseconds */
async function call(count: number, callers: number): Promise<number[]> {
  const durationsMs: number[] = [];
  const caller = async () => {
    for (let called = 0; called < count / callers; called += 1) {
      const startedAtMs = performance.now();
      await polite.sign(ITEM);
      durationsMs.push(performance.now() - startedAtMs);
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return durationsMs;
}

function percentile99(durationsMs: readonly number[]): number {
  return durationsMs.toSorted((a, b) => a - b)[Math.floor(durationsMs.length * 0.99)] ?? 0;
}

test.each([
  { callers: 8, connections: 50 },
  { callers: 1, connections: 5 },
])(
  'a client that floods with 5,000 streams on $connections connections changes the 99th percentile of another, with $callers in flight, by less than a factor of 3',
  async ({ callers, connections }) => {
    const alone: number[] = [];
    const flooded: number[] = [];
    await call(CALLS, callers);

    for (let round = 0; round < ROUNDS; round += 1) {
      alone.push(...(await call(CALLS, callers)));
      const flood = startFlood({
        ...{ connections, streams: STREAMS / connections, item: ITEM },
        ...{ folder: softHsm.directory, address: daemon.addresses[1] ?? '' },
      });
      await call(CALLS / 10, callers);
      flooded.push(...(await call(CALLS, callers)));
      expect(flood.exitCode).toBeNull();
      flood.kill('SIGKILL');
      await once(flood, 'exit');
    }

    process.stdout.write(
      `p99: ${percentile99(alone).toFixed(1)} ms alone, ${percentile99(flooded).toFixed(1)} ms beside the flood\n`,
    );
    expect(percentile99(flooded)).toBeLessThan(3 * percentile99(alone));
  },
);
