import { createHmac, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { connectClient, failureOf, type TestClient } from '../support/client.ts';
import { type Daemon, type DaemonOptions, startDaemon } from '../support/daemon.ts';
import {
  checkHealth,
  connectHealth,
  type HealthClient,
  watchHealth,
} from '../support/health-client.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

const cleanUps: (() => Promise<unknown> | unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

interface Running {
  readonly softHsm: SoftHsm;
  readonly daemon: Daemon;
  readonly client: TestClient;
  readonly health: HealthClient;
}

async function start(softHsm = newSoftHsm(), options: DaemonOptions = {}): Promise<Running> {
  const daemon = await startDaemon(softHsm, options);
  cleanUps.push(() => daemon.stop());
  const [address] = daemon.addresses;
  const client = connectClient(address as string);
  const health = connectHealth(address as string);
  cleanUps.push(
    () => client.close(),
    () => health.close(),
  );
  return { softHsm, daemon, client, health };
}

function newSoftHsm(): SoftHsm {
  const softHsm = createSoftHsm();
  cleanUps.push(() => softHsm.remove());
  return softHsm;
}

/** The pids of the token hosts that the daemon says are logged in. */
function hostPids(daemon: Daemon): number[] {
  const pids = (msg: string) =>
    daemon.logLines.filter((line) => line.msg === msg).map((line) => line['hostPid'] as number);
  const lost = new Set(pids('a token host is replaced'));
  return pids('a token host is logged in').filter((pid) => !lost.has(pid));
}

describe('a token host that is killed under load', () => {
  test('costs no call with a deadline of 5 s and no acknowledged result', async () => {
    const { softHsm, daemon, client } = await start();
    const value = randomBytes(32);
    softHsm.writeKey({ label: 'adopted-load', value });
    let stop = false;
    let signed = 0;
    const wrong: string[] = [];
    const caller = async () => {
      while (!stop) {
        const data = randomBytes(32);
        const { signature } = await client.sign({ key: 'adopted-load', data });
        const expected = createHmac('sha256', value).update(data).digest('hex');
        if (signature?.toString('hex') !== expected) wrong.push(expected);
        signed += 1;
      }
    };
    const load = Promise.all(Array.from({ length: 32 }, caller));

    for (let kills = 0; kills < 4; kills++) {
      const target = signed + 300;
      await until(() => signed >= target && hostPids(daemon).length === 2);
      process.kill(hostPids(daemon)[kills % 2] as number, 'SIGKILL');
    }
    const target = signed + 300;
    await until(() => signed >= target);
    stop = true;

    await load;
    expect(wrong).toEqual([]);
    expect(daemon.logLines.filter((line) => line.msg === 'a token host is replaced')).toHaveLength(
      4,
    );
  });
});

describe('SIGTERM under load', () => {
  test('fails no call that was accepted, and leaves nothing behind', async () => {
    const { softHsm, daemon, client, health } = await start();
    await client.createKey({ key: 'load', algorithm: 'HMAC_SHA256' });
    const watch = watchHealth(health);
    const hosts = hostPids(daemon);
    let signed = 0;
    const failures: unknown[] = [];
    const caller = async () => {
      for (;;) {
        try {
          await client.sign({ key: 'load', data: randomBytes(32) });
          signed += 1;
        } catch (error) {
          failures.push(error);
          return;
        }
      }
    };
    const load = Promise.all(Array.from({ length: 32 }, caller));

    await until(() => signed > 500);
    const exit = await daemon.stop();
    await load;

    // A call that found the listener closed was never accepted; gRPC says so by UNAVAILABLE.
    const refused = await Promise.all(failures.map((error) => failureOf(Promise.reject(error))));
    expect(refused.filter(({ code }) => code !== status.UNAVAILABLE)).toEqual([]);
    expect(refused.filter(({ message }) => !/connect|No connection/.test(message))).toEqual([]);
    const answered = daemon.logLines.filter(({ msg }) => msg === 'request');
    expect(answered.filter((line) => line['outcome'] !== 'OK')).toEqual([]);
    expect(answered.filter((line) => line['method'] === 'Sign')).toHaveLength(signed);
    expect(exit).toBe(0);
    expect(hosts.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
    expect(existsSync(join(softHsm.directory, 'sigild.sock'))).toBe(false);
    await watch.end;
  });

  test('ends at once on a second signal', async () => {
    const { daemon } = await start(newSoftHsm(), {
      config: { shutdown: { drainTimeoutMs: 10_000 } },
    });
    const open = connectClient(daemon.addresses[1] as string);
    await open.listKeys({});

    daemon.process.kill('SIGTERM');
    await until(() => daemon.logLines.some(({ msg }) => msg === 'stopping'));
    daemon.process.kill('SIGINT');

    expect([0, 130]).toContain(await daemon.exited);
    open.close();
  });
});

describe('CreateKey', () => {
  test('makes one key of fifty concurrent calls for one name', async () => {
    const { client, softHsm } = await start();

    const outcomes = await Promise.allSettled(
      Array.from({ length: 50 }, () => client.createKey({ key: 'one', algorithm: 'HMAC_SHA256' })),
    );

    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused).toHaveLength(49);
    for (const { reason } of refused) {
      expect(await failureOf(Promise.reject(reason))).toMatchObject({
        reason: 'KEY_ALREADY_EXISTS',
      });
    }
    expect(softHsm.pkcs11Tool('-O', '--type', 'secrkey').match(/label: +one$/gm)).toHaveLength(1);
  });

  test('makes one key of concurrent calls that two daemons get, thirty times', async () => {
    const { softHsm, client } = await start();
    const second = await startDaemon(softHsm, {
      config: { listeners: [{ unix: join(softHsm.directory, 'second.sock'), client: 'test' }] },
    });
    cleanUps.push(() => second.stop());
    const other = connectClient(second.addresses[0] as string);
    cleanUps.push(() => other.close());

    for (let round = 0; round < 30; round++) {
      const key = `round-${round}`;
      const outcomes = await Promise.allSettled(
        Array.from({ length: 4 }, (_, index) =>
          (index % 2 ? client : other).createKey({ key, algorithm: 'HMAC_SHA256' }),
        ),
      );

      expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1);
      await client.sign({ key, data: Buffer.from('x') });
      await other.sign({ key, data: Buffer.from('x') });
    }
    const objects = softHsm.pkcs11Tool('-O', '--type', 'secrkey');
    expect(objects.match(/label: +round-/g)).toHaveLength(30);
  });

  test('repeated with its request id returns the same key, also from a fresh daemon', async () => {
    const first = await start();
    const request = { key: 'same', algorithm: 'HMAC_SHA256', requestId: 'a-request' } as const;
    const { key } = await first.client.createKey(request);

    const again = await first.client.createKey(request);
    await first.daemon.stop();
    const second = await start(first.softHsm);
    const later = await second.client.createKey(request);
    const otherId = failureOf(second.client.createKey({ ...request, requestId: 'another' }));
    const otherAlgorithm = failureOf(
      second.client.createKey({ ...request, algorithm: 'HMAC_SHA512' }),
    );

    expect(again.key).toEqual(key);
    expect(later.key).toEqual(key);
    expect(await otherId).toMatchObject({ reason: 'KEY_ALREADY_EXISTS' });
    expect(await otherAlgorithm).toMatchObject({ reason: 'KEY_ALREADY_EXISTS' });
  });

  test('leaves every acknowledged key usable when the daemon is killed', async () => {
    const softHsm = newSoftHsm();
    const acknowledged: string[] = [];
    for (let round = 0; round < 3; round++) {
      const { daemon, client } = await start(softHsm);
      let next = 0;
      const caller = async () => {
        for (;;) {
          const key = `killed-${round}-${next++}`;
          await client.createKey({ key, algorithm: 'HMAC_SHA256' });
          acknowledged.push(key);
        }
      };
      const load = Promise.allSettled(Array.from({ length: 8 }, caller));
      const target = acknowledged.length + 20;
      await until(() => acknowledged.length >= target);
      daemon.process.kill('SIGKILL');
      await load;
      await daemon.exited;
    }

    const { client } = await start(softHsm);
    for (const key of acknowledged) {
      const data = randomBytes(8);
      const { signature } = await client.sign({ key, data });
      expect(await client.verify({ key, data, signature: signature as Buffer })).toMatchObject({
        valid: true,
      });
    }
    expect(acknowledged.length).toBeGreaterThanOrEqual(60);
  });
});

test('health tells of the whole server and of each service', async () => {
  const { health } = await start();

  for (const service of ['', 'sigild.v1.SigningService', 'sigild.v1.KeyService']) {
    expect(await checkHealth(health, service)).toBe('SERVING');
  }
});
