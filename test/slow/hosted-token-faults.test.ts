import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Host } from '../../src/token-host/host.ts';
import { deadline, FaultyToken, type Outcome } from '../support/faulty-token.ts';
import { on, type Pkcs11Shim, setting } from '../support/pkcs11-shim.ts';
import { processTree } from '../support/processes.ts';
import { until } from '../support/wait.ts';

/** By then the hosts have looked for their keys themselves. */
const SURVEYED_AFTER_MS = 3_000;

let faulty: FaultyToken;
let shim: Pkcs11Shim;

beforeAll(() => {
  faulty = new FaultyToken();
  shim = faulty.shim;
  faulty.softHsm.writeKey({ label: 'adopted-other', value: randomBytes(32) });
});

afterEach(() => faulty.reset());

afterAll(() => faulty?.remove());

test('fault 1 [shim]: with eight sessions a slow token signs at least three times as fast as with one', async () => {
  const timeMs = async (sessionsPerHost: number) => {
    const running = await faulty.start({ hosts: 1, sessionsPerHost, warmKeys: 'off' });
    await shim.control(on('C_SignInit', 'C_Sign').delay(2));
    await running.signMany(2 * sessionsPerHost);
    const startMs = performance.now();
    expect(await running.signMany(200)).toEqual({ signed: 200 });
    const tookMs = performance.now() - startMs;
    await shim.control();
    await running.token.close(2_000);
    return tookMs;
  };

  const one = await timeMs(1);
  const eight = await timeMs(8);

  expect(one / eight).toBeGreaterThan(3);
});

describe('fault 5 [shim]: a call that hangs costs its host alone, and holds up no start and no end', () => {
  test('fails at its limit, its host is replaced, and all others are served', async () => {
    const running = await faulty.start({ callTimeoutMs: 500 });
    for (const name of ['C_SignInit', 'C_Sign'] as const) {
      const before = new Set(running.hosts);
      await shim.control(on(name).hangForever({ times: 1 }));

      const outcomes = await running.signMany(24);

      expect(outcomes).toEqual({ signed: 23, DEADLINE_EXCEEDED: 1 });
      await running.hostsReplaced(before);
    }
    expect(await running.signMany(24)).toEqual({ signed: 24 });
  });

  test('is answered at the deadline of its caller', async () => {
    const running = await faulty.start({ hosts: 1, sessionsPerHost: 1 });
    await shim.control(on('C_Sign').hang());

    const startMs = performance.now();
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, () => running.sign(deadline(200))),
    );

    expect(new Set(outcomes)).toEqual(new Set(['DEADLINE_EXCEEDED']));
    expect(performance.now() - startMs).toBeLessThan(2_000);
    await shim.control();
    expect(await running.sign()).toBe('signed');
  });

  test('in C_FindObjects leaves other callers their sessions, until its host is replaced', async () => {
    const running = await faulty.start({ callTimeoutMs: 1_000 });
    expect(await running.signMany(24)).toEqual({ signed: 24 });
    await sleep(SURVEYED_AFTER_MS);
    const before = new Set(running.hosts);
    await shim.control(on('C_FindObjects').hangForever({ times: 1 }));

    const search = running.findKey(deadline(200));

    await expect(search).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    expect(await running.signMany(24)).toEqual({ signed: 24 });
    await running.hostsReplaced(before);
  });

  test('in the first C_Login fails the start in time, and leaves no process', async () => {
    const logins = shim.calls('C_Login');
    await shim.control(on('C_Login').hangForever());

    const starting = faulty.start({ startTimeoutMs: 2_500 });

    await expect(starting).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringMatching(/within 2500 ms/),
    });
    expect(shim.calls('C_Login')).toBeLessThanOrEqual(logins + 1);
    expect(processTree(process.pid)).toEqual([process.pid]);
  });

  test('in the C_Login of a replacement does not disturb the other host', async () => {
    const running = await faulty.start();
    await shim.control(on('C_Login').hangForever());
    const [host] = running.hosts;
    host?.kill();
    await until(() => !running.hosts.has(host as Host));

    expect(await running.signMany(24)).toEqual({ signed: 24 });
  });

  test.each(['C_Sign', 'C_Login'] as const)('in %s does not hold up the end', async (name) => {
    const running = await faulty.start({ hosts: 1 });
    const [host] = running.hosts;
    await shim.control(on(name).hangForever());
    const call = running.sign(deadline(200));
    if (name === 'C_Login') host?.kill();
    await call;

    const startMs = performance.now();
    await running.token.close(500);

    expect(performance.now() - startMs).toBeLessThan(3_000);
    expect(processTree(process.pid)).toEqual([process.pid]);
  });
});

test('fault 6 [shim]: a module that aborts and segfaults under load costs no call and spoils no MAC', async () => {
  const running = await faulty.start();
  const outcomes = new Set<Outcome>();
  const faults = shim.faults('C_Sign');
  let stop = false;
  const caller = async () => {
    while (!stop) outcomes.add(await running.sign());
  };

  await shim.control(
    on('C_Sign').abort({ every: 1_000, times: 2 }),
    on('C_Sign').segfault({ skip: 500, every: 1_000, times: 2 }),
  );
  const callers = Promise.all(Array.from({ length: 32 }, caller));
  await until(() => shim.faults('C_Sign') === faults + 4);
  await until(() => running.hosts.size === 2);
  stop = true;
  await callers;

  expect([...outcomes]).toEqual(['signed']);
});

describe('fault 13 [shim]: a module that lies about a length, or when a host finds a key, is not believed', () => {
  test('about the length of a MAC is not believed', async () => {
    const running = await faulty.start({ hosts: 1, sessionsPerHost: 1 });
    for (const bytes of [1, 12, 32]) {
      expect(await running.sign()).toBe('signed');
      await shim.control(on('C_Sign').shorten(bytes, { times: 1 }));

      expect(await running.sign()).toBe('TOKEN_UNAVAILABLE');
    }
    expect(await running.signMany(20)).toEqual({ signed: 20 });
    expect(running.hosts.size).toBe(1);
  });

  // The first MAC that a host makes is the canary's, the second shows which key it has found.
  test.each([
    ['a wrong bit', on('C_Sign').flipBit({ skip: 1, times: 1 })],
    ["another key's handle", on('C_SignInit').useKey('adopted-other', { skip: 1, times: 2 })],
  ])('when a host finds a key is noticed, and another host asked: %s', async (_, line) => {
    const running = await faulty.start({ hosts: 1, sessionsPerHost: 1, warmKeys: 'off' });
    expect(await running.sign()).toBe('signed');
    const [host] = running.hosts;
    const faults = shim.faults('C_Sign') + shim.faults('C_SignInit');
    await shim.control(line);
    host?.kill();
    await until(() => !running.hosts.has(host as Host));

    expect(await running.sign()).toBe('signed');
    expect(shim.faults('C_Sign') + shim.faults('C_SignInit')).toBeGreaterThan(faults);
  });
});

describe('fault 11 [shim]: a token that drops or refuses sessions is used with those that it gives', () => {
  test('one at a time, is given new ones, and no call fails', async () => {
    const running = await faulty.start({ hosts: 1 });
    const faults = shim.faults('C_Sign');
    await shim.control(on('C_Sign').loseSession({ every: 10 }));

    const outcomes = new Set<Outcome>();
    for (let call = 0; call < 100; call++) outcomes.add(await running.sign());

    expect([...outcomes]).toEqual(['signed']);
    expect(shim.faults('C_Sign')).toBeGreaterThanOrEqual(faults + 10);
    expect(running.hosts.size).toBe(1);
  });

  test.each([
    ['with the login', setting.loseSessions(), 0],
    ['for the login alone', setting.logOut(), 0],
    ['when they have been idle', setting.idleLimit(150), 300],
  ])('all at once, is served by a fresh host: %s', async (_, line, idleMs) => {
    const running = await faulty.start({ hosts: 1 });
    const before = new Set(running.hosts);
    const logins = shim.calls('C_Login');
    await shim.control(line);
    await sleep(idleMs);

    expect(await running.sign()).toBe('signed');

    await running.hostsReplaced(before);
    expect(shim.calls('C_Login')).toBe(logins + 1);
  });

  test('when one has been idle, answers searches and the canary too', async () => {
    const running = await faulty.start({ hosts: 1, sessionsPerHost: 1 });
    const before = new Set(running.hosts);

    await shim.control(on('C_FindObjectsInit').loseSession({ times: 1 }));
    await running.findKey();
    await shim.control(on('C_SignInit').loseSession({ times: 1 }));
    await running.token.probe(deadline());

    expect(running.hosts).toEqual(before);
  });

  test('beyond a number, is used with as many as it gives', async () => {
    await shim.control(setting.sessionLimit(4));
    const running = await faulty.start({ hosts: 1, sessionsPerHost: 8 });

    const [host] = running.hosts;

    expect(host?.lanes).toHaveLength(3);
    expect(host?.shortage).toMatch(/CKR_SESSION_COUNT/);
    expect(await running.signMany(100)).toEqual({ signed: 100 });
  });
});

test.each([
  ['gone', setting.removeToken('CKR_DEVICE_REMOVED')],
  ['refusing everything', on('*').return('CKR_DEVICE_REMOVED')],
])('a token that is %s is unavailable, and served again when it is back', async (_, line) => {
  const running = await faulty.start({ hosts: 1 });
  await shim.control(line);

  await until(async () => (await running.sign()) === 'TOKEN_UNAVAILABLE');
  await until(() => running.hosts.size === 0);
  const found = running.findKey();
  await expect(found).rejects.toMatchObject({ reason: 'TOKEN_UNAVAILABLE' });
  await shim.control();
  await until(async () => (await running.sign()) === 'signed');

  expect(shim.calls('C_Login')).toBeLessThanOrEqual(shim.calls('C_Initialize'));
});

test('a token that is gone when sigild stops is no defect', async () => {
  const running = await faulty.start({ hosts: 1 });
  await shim.control(setting.removeToken('CKR_TOKEN_NOT_PRESENT'));

  await running.token.close(5_000);

  expect(processTree(process.pid)).toEqual([process.pid]);
});
