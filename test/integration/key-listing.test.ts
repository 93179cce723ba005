import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Key } from '../../src/domain/key.ts';
import { UPDATES_PER_TURN } from '../../src/pkcs11/object-memory.ts';
import type { ListedKeys } from '../../src/service/token-values.ts';
import type { HostedToken } from '../../src/token-host/hosted-token.ts';
import { deadline } from '../support/faulty-token.ts';
import { startHostedToken } from '../support/hosted-token.ts';
import { setLabel, setUsage } from '../support/key-editor.ts';
import { on, type Pkcs11Shim, pkcs11Shim } from '../support/pkcs11-shim.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

const KEYS = ['adopted-a', 'adopted-b', 'adopted-c'];

let softHsm: SoftHsm;
let shim: Pkcs11Shim;
let token: HostedToken;
let hostPids: number[];

beforeEach(async () => {
  softHsm = createSoftHsm();
  shim = pkcs11Shim(softHsm);
  for (const label of KEYS) writeKey(label);
  hostPids = [];
  token = await startHostedToken(softHsm, {
    ...{ module: shim.module, environment: shim.environment, hosts: 2, sessionsPerHost: 2 },
    onTransition: (transition) => {
      if (transition.event === 'started') hostPids.push(transition.host.pid as number);
    },
  });
  await expect.poll(() => hostPids.length, { timeout: 20_000 }).toBe(2);
});

afterEach(async () => {
  await shim.control();
  await token?.close(2_000);
  softHsm.remove();
});

function writeKey(label: string): void {
  softHsm.writeKey({ label, value: randomBytes(32) });
}

function list(since?: ListedKeys, readAgain: readonly string[] = []): Promise<ListedKeys> {
  return token.listKeys(since && { listing: since.id, readAgain }, deadline());
}

function shown({ isWhole, keys, gone }: ListedKeys) {
  return { isWhole, keys: keys.map(({ name }) => name), gone };
}

function stateOf(keys: readonly Key[], name: string): string | undefined {
  return keys.find((key) => key.name === name)?.versions[0]?.state;
}

describe('between two listings another process', () => {
  test('has done nothing: nothing is told', async () => {
    const first = await list();

    expect(shown(first)).toEqual({ isWhole: true, keys: KEYS, gone: [] });
    expect(shown(await list(first))).toEqual({ isWhole: false, keys: [], gone: [] });
  });

  test('has made a key and deleted one', async () => {
    const first = await list();
    writeKey('adopted-new');
    softHsm.pkcs11Tool('--delete-object', '--type', 'secrkey', '--label', 'adopted-b');

    const second = await list(first);

    expect(shown(second)).toEqual({ isWhole: false, keys: ['adopted-new'], gone: ['adopted-b'] });
  });

  test('has made a second object that claims a key, which is told with the first', async () => {
    const first = await list();
    writeKey('adopted-b');

    const { keys } = await list(first);

    expect(keys.map(({ name, versions }) => [name, versions.length])).toEqual([['adopted-b', 2]]);
  });

  test('has replaced a key by another one of its name', async () => {
    const first = await list();
    softHsm.pkcs11Tool('--delete-object', '--type', 'secrkey', '--label', 'adopted-b');
    writeKey('adopted-b');

    expect(shown(await list(first))).toMatchObject({ keys: ['adopted-b'], gone: [] });
  });

  test('has enabled a suspended key again, which is told at once', async () => {
    setUsage(softHsm, 'adopted-a', { sign: false, verify: false });
    const first = await list();
    setUsage(softHsm, 'adopted-a', { sign: true, verify: true });

    const second = await list(first);

    expect(stateOf(first.keys, 'adopted-a')).toBe('SUSPENDED');
    expect(stateOf(second.keys, 'adopted-a')).toBe('ACTIVE');
  });

  test.each([
    ['disabled a key', { sign: false, verify: false }, 'SUSPENDED'],
    ['deactivated a key', { sign: false, verify: true }, 'DEACTIVATED'],
  ])('has %s, which is told when it is asked for, and else in turn', async (_, usage, state) => {
    const first = await list();
    setUsage(softHsm, 'adopted-a', usage);
    setUsage(softHsm, 'adopted-b', usage);

    let last = await list(first, ['adopted-a']);
    expect(stateOf(last.keys, 'adopted-a')).toBe(state);
    const told = [...last.keys];
    for (let update = 1; update < UPDATES_PER_TURN; update++) {
      last = await list(last);
      told.push(...last.keys);
    }

    expect(stateOf(told, 'adopted-b')).toBe(state);
    expect(told.map(({ name }) => name).sort()).toEqual(['adopted-a', 'adopted-b']);
  });

  test('has given a key another label, which is told in turn', async () => {
    let last = await list();
    setLabel(softHsm, 'adopted-b', 'adopted-z');

    const told: string[] = [];
    for (let update = 0; update < UPDATES_PER_TURN; update++) {
      last = await list(last);
      told.push(...last.keys.map(({ name }) => name), ...last.gone.map((name) => `-${name}`));
    }

    expect(told).toEqual(['adopted-z', '-adopted-b']);
  });

  test('has given a key another label, which is told at once when it is asked for', async () => {
    const first = await list();
    setLabel(softHsm, 'adopted-b', 'adopted-z');

    const second = await list(first, ['adopted-z']);

    expect(shown(second)).toEqual({ isWhole: false, keys: ['adopted-z'], gone: ['adopted-b'] });
  });

  test('has disabled a key: a listing of everything tells it', async () => {
    await list();
    setUsage(softHsm, 'adopted-a', { sign: false, verify: false });

    expect(stateOf((await list()).keys, 'adopted-a')).toBe('SUSPENDED');
  });
});

describe('a listing after another', () => {
  test('searches once, and reads a part of the keys alone', async () => {
    for (let number = 0; number < 2 * UPDATES_PER_TURN; number++) writeKey(`adopted-${number}`);
    const count = KEYS.length + 2 * UPDATES_PER_TURN;
    const first = await list();
    await settled();
    const searches = shim.calls('C_FindObjectsInit');
    const reads = shim.calls('C_GetAttributeValue');

    await list(first);

    expect(shim.calls('C_FindObjectsInit')).toBe(searches + 1);
    expect(shim.calls('C_GetAttributeValue') - reads).toBeLessThan(count / 2);
  });

  test('tells everything when its host was replaced', async () => {
    const first = await list();
    process.kill(hostPids[0] as number, 'SIGKILL');
    await expect.poll(() => hostPids.length, { timeout: 20_000 }).toBe(3);

    const second = await list(first);
    const third = await list(second);

    expect(shown(second)).toEqual({ isWhole: true, keys: KEYS, gone: [] });
    expect(shown(third)).toEqual({ isWhole: false, keys: [], gone: [] });
  });

  test('is done by another host when its own is lost meanwhile', async () => {
    const first = await list();
    await shim.control(on('C_FindObjectsInit').delay(1_000));
    const searches = shim.calls('C_FindObjectsInit');
    const second = list(first);
    await expect.poll(() => shim.calls('C_FindObjectsInit')).toBeGreaterThan(searches);

    process.kill(hostPids[0] as number, 'SIGKILL');

    expect(shown(await second)).toEqual({ isWhole: true, keys: KEYS, gone: [] });
  });

  test('tells everything when its session was replaced for an error', async () => {
    const first = await list();
    const failing = on('C_FindObjectsInit').return('CKR_SESSION_HANDLE_INVALID', { times: 1 });
    await shim.control(failing);

    expect(shown(await list(first))).toEqual({ isWhole: true, keys: KEYS, gone: [] });
  });

  /** Waits until no host looks at its keys by itself any more. */
  async function settled(): Promise<void> {
    let before = -1;
    const isQuiet = () => {
      const now = shim.calls('C_GetAttributeValue');
      const same = now === before;
      before = now;
      return same;
    };
    await expect.poll(isQuiet, { timeout: 20_000, interval: 2_000 }).toBe(true);
  }
});
