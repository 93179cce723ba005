import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Client, connect, type Key } from '../../src/client/client.ts';
import { type Load, startLoad } from '../support/client-load.ts';
import { baseConfig, type Daemon, startDaemon } from '../support/daemon.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 60_000 });

/** Of a call that has to wait for the start of a token host on a machine that is busy with tests. */
const PATIENT = { deadlineMs: 30_000 };

/** So long that no test sees a change for a refresh alone. */
const REFRESH_MS = 600_000;

const ROUND_MS = 250;

/** Of rotation, suspension and activation; more of them when they are asked for. */
const ROUNDS = Number(process.env['SIGILD_ROTATION_ROUNDS'] ?? 12);

let softHsm: SoftHsm;
const daemons: Daemon[] = [];
const clients: Client[] = [];

beforeAll(async () => {
  softHsm = createSoftHsm();
  for (const warmKeys of ['on', 'off']) {
    const config = baseConfig(softHsm);
    const path = join(softHsm.directory, `${warmKeys}.sock`);
    const daemon = await startDaemon(softHsm, {
      config: {
        token: { ...(config['token'] as object), warmKeys },
        listeners: [{ unix: path, mode: '0600', client: 'test' }],
        keys: { refreshIntervalMs: REFRESH_MS },
      },
    });
    daemons.push(daemon);
    clients.push(connect({ address: daemon.addresses[0] ?? '' }));
  }
});

afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await Promise.all(daemons.map((daemon) => daemon.stop()));
  softHsm?.remove();
});

function statesOf(key: Key): readonly string[] {
  return key.versions.map(({ version, state }) => `${version} ${state}`);
}

/** 20 callers who sign with one client and verify with another one. */
function startSigning(name: string, signer: Client, verifier: Client): Load {
  return startLoad(20, async (data) => {
    const signed = await signer.key(name).sign(data, PATIENT);
    const verified = await verifier.key(name).verify(data, signed.signature, PATIENT);
    if (verified.valid && verified.version === signed.version) return;
    throw new Error(`signed by ${signed.version}: ${JSON.stringify(verified)}`);
  });
}

describe('a key that is rotated under load', () => {
  test('fails no call and gives no wrong answer, while a version is suspended and activated', async () => {
    const [client] = clients as [Client];
    await client.keys.create('rotated', 'HMAC_SHA256', PATIENT);
    const data = Buffer.from('signed by version 1');
    const { signature } = await client.key('rotated').sign(data);
    await client.keys.rotate('rotated', { ...PATIENT, keepActive: true });
    const others = [connect({ address: daemons[0]?.addresses[0] ?? '' }), client];
    const loads = others.map((other) => startSigning('rotated', other, other));

    for (let round = 0; round < ROUNDS; round++) {
      await client.keys.updateVersion('rotated', 1, 'SUSPENDED', PATIENT);
      await expect(client.key('rotated').sign(data, { version: 1 })).rejects.toMatchObject({
        reason: 'KEY_STATE_FORBIDS',
      });
      await client.keys.rotate('rotated', PATIENT);
      await client.keys.updateVersion('rotated', 1, 'ACTIVE', PATIENT);
      expect(await client.key('rotated').verify(data, signature)).toMatchObject({ version: 1 });
      await pause(ROUND_MS);
    }

    const failures = await Promise.all(loads.map((load) => load.end()));
    expect(failures.flat()).toEqual([]);
    for (const load of loads) expect(load.answered()).toBeGreaterThan(ROUNDS);
    const [newest, ...older] = statesOf(await client.keys.get('rotated'));
    expect(newest).toBe(`${ROUNDS + 2} ACTIVE`);
    expect(older.at(-1)).toBe('1 ACTIVE');
    for (const state of older.slice(0, -1)) expect(state).toMatch(/DEACTIVATED$/);
    await others[0]?.close();
  });

  test('is used by another daemon that has not looked at the token since', async () => {
    const [one, other] = clients as [Client, Client];
    await one.keys.create('shared', 'HMAC_SHA256', PATIENT);
    const loads = [
      startSigning('shared', one, other),
      startSigning('shared', other, one),
      startSigning('shared', other, other),
    ];

    for (let round = 0; round < 8; round++) {
      await one.keys.rotate('shared', PATIENT);
      await pause(ROUND_MS);
    }

    const failures = await Promise.all(loads.map((load) => load.end()));
    expect(failures.flat()).toEqual([]);
    expect((await other.key('shared').sign(Buffer.from('data'))).version).toBe(9);
  });

  test('gets one new version at a time though two daemons rotate it at once', async () => {
    const [one, other] = clients as [Client, Client];
    await one.keys.create('twice', 'HMAC_SHA256', PATIENT);

    for (let round = 0; round < 8; round++) {
      const rotated = await Promise.all(
        [one, other].map((client) => client.keys.rotate('twice', PATIENT)),
      );
      for (const key of rotated) expect(key.versions[0]?.state).toBe('ACTIVE');
    }

    const key = await one.keys.get('twice');
    expect(await other.keys.get('twice')).toEqual(key);
    const numbers = key.versions.map(({ version }) => version);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(key.versions.filter(({ state }) => state === 'ACTIVE')).toHaveLength(1);
  });
});

test('a version that one daemon suspends signs through no other one that uses the key itself', async () => {
  const [one, other] = clients as [Client, Client];
  await one.keys.create('suspended', 'HMAC_SHA256', PATIENT);
  const data = Buffer.from('data');
  const { signature } = await other.key('suspended').sign(data);

  await one.keys.updateVersion('suspended', 1, 'SUSPENDED', PATIENT);

  for (const version of [undefined, 1]) {
    const options = version === undefined ? {} : { version };
    await expect(other.key('suspended').sign(data, options)).rejects.toMatchObject({
      reason: 'KEY_STATE_FORBIDS',
    });
    await expect(other.key('suspended').verify(data, signature, options)).rejects.toMatchObject({
      reason: 'KEY_STATE_FORBIDS',
    });
  }
});
