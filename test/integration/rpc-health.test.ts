import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  checkHealth,
  connectHealth,
  type HealthClient,
  watchHealth,
} from '../support/health-client.ts';
import { type RpcFixture, startRpc } from '../support/rpc-fixture.ts';
import { eventually } from '../support/wait.ts';

const SERVICES = ['', 'sigild.v1.SigningService', 'sigild.v1.KeyService'];

let rpc: RpcFixture;
let health: HealthClient;

beforeEach(async () => {
  rpc = startRpc();
  health = connectHealth(await rpc.listen());
});

afterEach(async () => {
  health.close();
  await rpc.close();
});

test.each(SERVICES)(
  '%j does not serve until it is told to, and no longer than that',
  async (name) => {
    const before = await checkHealth(health, name);
    rpc.health.setServing(true);
    const during = await checkHealth(health, name);
    rpc.health.setServing(false);
    const after = await checkHealth(health, name);

    expect([before, during, after]).toEqual(['NOT_SERVING', 'SERVING', 'NOT_SERVING']);
  },
);

test('every listener tells of it', async () => {
  rpc.health.setServing(true);
  const other = connectHealth(
    await rpc.server.listen({
      address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      identity: { kind: 'client', client: 'nobody' },
    }),
  );

  expect(await checkHealth(other)).toBe('SERVING');
  other.close();
});

test('an unknown service is NOT_FOUND', async () => {
  await expect(checkHealth(health, 'unknown')).rejects.toMatchObject({ code: status.NOT_FOUND });
});

test('a watch hears of every change', async () => {
  const watch = watchHealth(health, 'sigild.v1.SigningService');
  await eventually(() => expect(watch.statuses).toEqual(['NOT_SERVING']));

  rpc.health.setServing(true);
  await eventually(() => expect(watch.statuses).toEqual(['NOT_SERVING', 'SERVING']));

  watch.cancel();
  await watch.end;
});

test('a watch of an unknown service is told so and stays open', async () => {
  const watch = watchHealth(health, 'unknown');
  await eventually(() => expect(watch.statuses).toEqual(['SERVICE_UNKNOWN']));

  rpc.health.setServing(true);
  await checkHealth(health);

  expect(watch.statuses).toEqual(['SERVICE_UNKNOWN']);
  watch.cancel();
  await watch.end;
});

test('a watch ends with the drain, after the last news', async () => {
  rpc.health.setServing(true);
  const watch = watchHealth(health);
  await eventually(() => expect(watch.statuses).toEqual(['SERVING']));

  rpc.health.setServing(false);
  await rpc.server.drain(60_000);

  expect(await watch.end).toBeUndefined();
  expect(watch.statuses).toEqual(['SERVING', 'NOT_SERVING']);
});
