import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type Client, connect, type Key } from '../../src/client/client.ts';
import { sigilctlOnTerminal } from '../integration/admin-sigilctl.ts';
import { baseConfig, type Daemon, startDaemon } from '../support/daemon.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

vi.setConfig({ testTimeout: 600_000, hookTimeout: 60_000 });

/** Of a call that has to wait for the start of a token host on a machine that is busy with tests. */
const PATIENT = { deadlineMs: 60_000 };

const WAIT = { timeout: 60_000, interval: 100 };

/** How often a daemon is killed. */
const ROUNDS = Number(process.env['SIGILD_KILL_ROUNDS'] ?? 8);

/** After its first change: some changes more. */
const LONGEST_LIFE_MS = 400;

const KEYS = ['k0', 'k1', 'k2'];

const DESTROYED = 'a version was destroyed, as was scheduled';

let softHsm: SoftHsm;
const daemons: Daemon[] = [];
const clients: Client[] = [];

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await Promise.all(daemons.splice(0).map((daemon) => daemon.stop()));
  softHsm?.remove();
});

async function start(name = 'sigild'): Promise<{ daemon: Daemon; client: Client }> {
  const daemon = await startDaemon(softHsm, {
    config: {
      token: { ...(baseConfig(softHsm)['token'] as object), hosts: 1 },
      listeners: [{ unix: join(softHsm.directory, `${name}.sock`), mode: '0600', client: 'test' }],
      keys: { refreshIntervalMs: 1_000, minDestroyDelayMs: 0 },
    },
  });
  const client = connect({ address: daemon.addresses[0] ?? '' });
  daemons.push(daemon);
  clients.push(client);
  return { daemon, client };
}

function statesOf(key: Key): readonly string[] {
  return key.versions.map(({ state }) => state);
}

/** How many objects of each kind stand on the token, that of the canary left out. */
function countObjects(): { keys: number; records: number } {
  const listed = softHsm.pkcs11Tool('--list-objects');
  const count = (kind: RegExp) => listed.match(kind)?.length ?? 0;
  // SoftHSM 2.6 leaves an object without a label when it is killed while it generates a key.
  const keys = count(/^Secret Key Object.*\n +label: +(?!sigild:)\S/gm);
  return { keys, records: count(/^Data object/gm) };
}

function destroyedBy(...ended: readonly Daemon[]): number {
  return ended.flatMap(({ logLines }) => logLines.filter(({ msg }) => msg === DESTROYED)).length;
}

/** A key with one version that signs and an older one that is DEACTIVATED. */
async function createKey(client: Client, name: string): Promise<void> {
  await client.keys.create(name, 'HMAC_SHA256', PATIENT);
  await client.keys.rotate(name, PATIENT);
}

describe('a version', () => {
  test('is destroyed at its time, and its record stays through a restart', async () => {
    softHsm = createSoftHsm();
    const first = await start();
    await createKey(first.client, 'shop');
    const { signature } = await first.client.key('shop').sign(Buffer.from('data'));

    const scheduled = await first.client.keys.scheduleDestroy('shop', 1, {
      ...PATIENT,
      delayMs: 2_000,
    });
    expect(statesOf(scheduled)).toEqual(['ACTIVE', 'DESTROY_SCHEDULED']);
    await expect
      .poll(async () => statesOf(await first.client.keys.get('shop', PATIENT)), WAIT)
      .toEqual(['ACTIVE', 'DESTROYED']);
    await first.daemon.stop();
    const second = await start('second');

    const key = await second.client.keys.get('shop', PATIENT);
    expect(statesOf(key)).toEqual(['ACTIVE', 'DESTROYED']);
    expect(key.versions[1]?.destroyTime?.getTime()).toBeGreaterThanOrEqual(
      scheduled.versions[1]?.destroyTime?.getTime() ?? Infinity,
    );
    expect(await second.client.key('shop').verify(Buffer.from('data'), signature)).toMatchObject({
      valid: true,
      version: 2,
    });
    expect(countObjects()).toEqual({ keys: 1, records: 1 });
    expect(destroyedBy(first.daemon, second.daemon)).toBe(1);
  });

  test('is destroyed by the next start where no daemon ran at its time', async () => {
    softHsm = createSoftHsm();
    const first = await start();
    await createKey(first.client, 'shop');
    await first.client.keys.scheduleDestroy('shop', 1, { ...PATIENT, delayMs: 5_000 });
    await first.daemon.stop();
    expect(destroyedBy(first.daemon)).toBe(0);
    await pause(5_000);

    const second = await start('second');

    await expect
      .poll(async () => statesOf(await second.client.keys.get('shop', PATIENT)), WAIT)
      .toEqual(['ACTIVE', 'DESTROYED']);
    await expect.poll(countObjects, WAIT).toEqual({ keys: 1, records: 1 });
  });

  test('that one daemon schedules is restored by another one', async () => {
    softHsm = createSoftHsm();
    const one = await start('one');
    const other = await start('other');
    await createKey(one.client, 'shop');

    await one.client.keys.scheduleDestroy('shop', 1, { ...PATIENT, delayMs: 60_000 });
    const restored = await other.client.keys.restore('shop', 1, PATIENT);
    const again = await one.client.keys.scheduleDestroy('shop', 1, { ...PATIENT, delayMs: 0 });

    expect(statesOf(restored)).toEqual(['ACTIVE', 'SUSPENDED']);
    expect(statesOf(again)).toEqual(['ACTIVE', 'DESTROYED']);
    expect(statesOf(await other.client.keys.get('shop', PATIENT))).toEqual(['ACTIVE', 'DESTROYED']);
    expect(countObjects()).toEqual({ keys: 1, records: 1 });
  });

  test('that two daemons know of is destroyed once, and neither of them fails', async () => {
    softHsm = createSoftHsm();
    const one = await start('one');
    const other = await start('other');
    for (const name of KEYS) {
      await createKey(one.client, name);
      await one.client.keys.scheduleDestroy(name, 1, { ...PATIENT, delayMs: 4_000 });
    }

    for (const name of KEYS) {
      await expect
        .poll(async () => statesOf(await other.client.keys.get(name, PATIENT)), WAIT)
        .toEqual(['ACTIVE', 'DESTROYED']);
    }

    await expect.poll(countObjects, WAIT).toEqual({ keys: KEYS.length, records: KEYS.length });
    await one.daemon.stop();
    await other.daemon.stop();
    expect(destroyedBy(one.daemon, other.daemon)).toBe(KEYS.length);
    const warnings = [one.daemon, other.daemon].flatMap(({ logLines }) =>
      logLines.filter(({ msg }) => msg.startsWith('what is due')),
    );
    expect(warnings).toEqual([]);
  });
});

describe('the last version of a key', () => {
  test.each([
    ['its name', 'shop', 0, 'DESTROY_SCHEDULED'],
    ['another name', 'shop1', 64, 'SUSPENDED'],
    ['Ctrl-C', '\u0003', 1, 'SUSPENDED'],
  ])('is scheduled on a terminal for who types %s', async (_, typed, exitCode, state) => {
    softHsm = createSoftHsm();
    const { client, daemon } = await start();
    await client.keys.create('shop', 'HMAC_SHA256', PATIENT);
    await client.keys.updateVersion('shop', 1, 'SUSPENDED', PATIENT);

    const run = sigilctlOnTerminal(
      ['key', 'destroy', 'shop', '--version', '1', '--timeout-ms', '60000'],
      { ...process.env, SIGILD_ADDRESS: daemon.addresses[0] },
      [["version 1 is the last one of key shop; type the key's name to go on: ", `${typed}\r`]],
    );

    expect(run.exitCode).toBe(exitCode);
    expect(run.echoes).toBe(true);
    expect(statesOf(await client.keys.get('shop', PATIENT))).toEqual([state]);
  });
});

/** Schedules, restores and destroys the older version of a key again and again, until it fails. */
async function keepChanging(
  client: Client,
  name: string,
  seed: number,
  { signal, onChanged }: { readonly signal: AbortSignal; readonly onChanged: () => void },
): Promise<void> {
  const options = { ...PATIENT, signal };
  for (let turn = seed; ; turn++) {
    const key = await client.keys.get(name, options);
    const old = key.versions.find(({ state }) => state !== 'ACTIVE' && state !== 'DESTROYED');
    if (!old) {
      await client.keys.rotate(name, options);
      continue;
    }
    const delayMs = turn % 3 === 0 ? 0 : 60_000;
    await client.keys.scheduleDestroy(name, old.version, { ...options, delayMs });
    onChanged();
    if (delayMs > 0) await client.keys.restore(name, old.version, options);
  }
}

/** What stands on the token, and what the daemon says should. */
async function compareObjects(client: Client) {
  const keys = await Promise.all(KEYS.map((name) => client.keys.get(name, PATIENT)));
  const versions = keys.flatMap((key) => key.versions);
  const found = countObjects();
  return {
    keys: found.keys - versions.filter(({ state }) => state !== 'DESTROYED').length,
    // A version has one record at the most, and each kill leaves a superseded copy for each key at the
    // most, which the daemon removes after a quarter of an hour.
    records: Math.max(0, found.records - versions.length - ROUNDS * KEYS.length),
  };
}

test('whatever a daemon does when it is killed, keys stay usable and nothing is left over', async () => {
  softHsm = createSoftHsm();
  const maker = await start('maker');
  for (const name of KEYS) await createKey(maker.client, name);
  await maker.daemon.stop();
  for (let round = 0; round < ROUNDS; round++) {
    const { daemon, client } = await start(`round-${round}`);
    const killed = new AbortController();
    const { signal } = killed;
    const changing: Promise<void>[] = [];
    const changed = new Promise<void>((onChanged) => {
      for (const name of KEYS) {
        changing.push(
          keepChanging(client, name, round, { signal, onChanged }).catch(() => undefined),
        );
      }
    });
    // The first change has waited for the host that makes it.
    await Promise.race([changed, Promise.all(changing)]);
    await pause(Math.random() * LONGEST_LIFE_MS);
    daemon.process.kill('SIGKILL');
    await daemon.exited;
    killed.abort();
    await Promise.all(changing);
  }
  const { client } = await start('last');

  await expect.poll(() => compareObjects(client), WAIT).toEqual({ keys: 0, records: 0 });

  for (const name of KEYS) {
    const data = Buffer.from(name);
    const { signature, version } = await client.key(name).sign(data, PATIENT);
    expect(await client.key(name).verify(data, signature)).toMatchObject({ valid: true, version });
    const key = await client.keys.get(name, PATIENT);
    const numbers = key.versions.map((one) => one.version);
    expect(numbers).toEqual(Array.from(numbers, (_, index) => numbers.length - index));
  }
});
