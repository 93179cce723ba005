import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import type { Key, KeyVersion } from '../../src/domain/key.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import type { NewKey } from '../../src/service/token-values.ts';
import type { HostedToken } from '../../src/token-host/hosted-token.ts';
import { deadline, FaultyToken } from '../support/faulty-token.ts';
import { signOne } from '../support/one-message.ts';
import { on, type Pkcs11Shim } from '../support/pkcs11-shim.ts';

const DATA = Buffer.from('data');

/** So long that a copy which is not dropped goes on signing until the end of its test. */
const NEVER_MS = 600_000;

let faulty: FaultyToken;
let shim: Pkcs11Shim;

beforeAll(() => {
  faulty = new FaultyToken();
  shim = faulty.shim;
});

afterEach(() => faulty.reset());

afterAll(() => faulty?.remove());

function newVersion(name: string, version: number): NewKey {
  const id = encodeVersionId({ createTimeMs: Date.now(), version, tag: randomBytes(6) });
  return { name, algorithm: 'HMAC_SHA256', id };
}

async function createKey(token: HostedToken, name: string): Promise<KeyVersion> {
  const key = await token.createKey(newVersion(name, 1), deadline());
  return key.versions[0] as KeyVersion;
}

function outcomeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'signed',
    (error: unknown) => (error instanceof SigildError ? error.reason : String(error)),
  );
}

/** Signs so often at once that every lane signs. @returns how it went, each outcome once */
async function signEverywhere(token: HostedToken, version: KeyVersion): Promise<Set<string>> {
  const calls = Array.from({ length: 64 }, () => signOne(token, version, DATA, deadline()));
  return new Set(await Promise.all(calls.map(outcomeOf)));
}

function statesOf(key: Key | undefined): readonly string[] {
  return key?.versions.map(({ state }) => state) ?? [];
}

describe('a version that is suspended', () => {
  test('signs with no session from then on, whatever copies there were', async () => {
    const { token } = await faulty.start({
      ...{ hosts: 2, sessionsPerHost: 4, warmKeys: 'on', recheckMs: NEVER_MS },
    });
    const version = await createKey(token, 'many-rounds');
    // So slow that every session has to work.
    await shim.control(on('C_SignInit').delay(1));

    for (let round = 0; round < 25; round++) {
      expect(await signEverywhere(token, version)).toEqual(new Set(['signed']));
      await token.setVersionState(version, 'SUSPENDED', deadline());
      expect(await signEverywhere(token, version)).toEqual(new Set(['KEY_STATE_FORBIDS']));
      await token.setVersionState(version, 'ACTIVE', deadline());
    }
    expect(await signEverywhere(token, version)).toEqual(new Set(['signed']));
  });

  test('gives no signature after the acknowledgement to callers who sign all the time', async () => {
    const { token } = await faulty.start({
      ...{ hosts: 2, sessionsPerHost: 4, warmKeys: 'on', recheckMs: NEVER_MS },
    });
    const version = await createKey(token, 'under-load');
    let isSuspended = false;
    let isOver = false;
    const [tooLate, inTime]: string[][] = [[], []];
    const signaturesWhile = (suspended: boolean) => (suspended ? tooLate : inTime) as string[];
    const callers = Array.from({ length: 32 }, async () => {
      while (!isOver) {
        const wasSuspended = isSuspended;
        const outcome = await outcomeOf(signOne(token, version, DATA, deadline()));
        if (outcome === 'signed') signaturesWhile(wasSuspended && isSuspended).push(outcome);
      }
    });

    for (let round = 0; round < 25; round++) {
      await token.setVersionState(version, 'SUSPENDED', deadline());
      isSuspended = true;
      await signEverywhere(token, version);
      isSuspended = false;
      await token.setVersionState(version, 'ACTIVE', deadline());
      await signEverywhere(token, version);
    }
    isOver = true;
    await Promise.all(callers);

    expect(inTime).not.toEqual([]);
    expect(tooLate).toEqual([]);
  });

  test('counts as suspended though a host hangs while it is told', async () => {
    const running = await faulty.start({
      ...{ hosts: 2, sessionsPerHost: 2, warmKeys: 'on', recheckMs: NEVER_MS },
      callTimeoutMs: 500,
    });
    const { token } = running;
    const version = await createKey(token, 'hung-host');
    await signEverywhere(token, version);
    const before = new Set(running.hosts);
    await shim.control(on('C_DestroyObject').hangForever({ times: 1 }));

    await token.setVersionState(version, 'SUSPENDED', deadline());

    expect(await signEverywhere(token, version)).toEqual(new Set(['KEY_STATE_FORBIDS']));
    await running.hostsReplaced(before);
    expect(await signEverywhere(token, version)).toEqual(new Set(['KEY_STATE_FORBIDS']));
  });

  test('counts as suspended though a host crashes while it is told', async () => {
    const running = await faulty.start({
      ...{ hosts: 2, sessionsPerHost: 2, warmKeys: 'on', recheckMs: NEVER_MS },
    });
    const { token } = running;
    const version = await createKey(token, 'crashed-host');
    await signEverywhere(token, version);
    const before = new Set(running.hosts);
    await shim.control(on('C_DestroyObject').abort({ times: 1 }));

    await token.setVersionState(version, 'SUSPENDED', deadline());

    expect(await signEverywhere(token, version)).toEqual(new Set(['KEY_STATE_FORBIDS']));
    await running.hostsReplaced(before);
  });
});

describe('a change that the token does not make', () => {
  test.each([
    ['refuses', on('C_SetAttributeValue').return('CKR_ATTRIBUTE_READ_ONLY'), 'TOKEN_REFUSED'],
    ['fails', on('C_SetAttributeValue').return('CKR_DEVICE_ERROR'), 'TOKEN_UNAVAILABLE'],
    ['says it has made', on('C_SetAttributeValue').return('CKR_OK'), 'TOKEN_REFUSED'],
  ])('and that it %s fails, and leaves the version as it was', async (what, rule, reason) => {
    const { token } = await faulty.start();
    const version = await createKey(token, `kept-${what.split(' ')[0]}`);
    await shim.control(rule);

    const change = token.setVersionState(version, 'SUSPENDED', deadline());

    await expect(change).rejects.toMatchObject({ reason });
    await shim.control();
    expect(statesOf(await token.findKey(version.key, deadline()))).toEqual(['ACTIVE']);
    expect(await signEverywhere(token, version)).toEqual(new Set(['signed']));
  });

  test('and reports as failed counts everywhere when it was made all the same', async () => {
    const { token } = await faulty.start({ warmKeys: 'on', recheckMs: NEVER_MS });
    const version = await createKey(token, 'made-all-the-same');
    await signEverywhere(token, version);
    await shim.control(on('C_SetAttributeValue').returnAfter('CKR_DEVICE_ERROR'));

    const change = token.setVersionState(version, 'SUSPENDED', deadline());

    await expect(change).rejects.toMatchObject({ reason: 'TOKEN_UNAVAILABLE' });
    expect(await signEverywhere(token, version)).toEqual(new Set(['KEY_STATE_FORBIDS']));
  });

  test('for a caller who has left is made, or not, everywhere alike', async () => {
    const { token } = await faulty.start({ warmKeys: 'on', recheckMs: NEVER_MS });
    const version = await createKey(token, 'left');
    await signEverywhere(token, version);
    await shim.control(on('C_SetAttributeValue').delay(100));

    const change = token.setVersionState(version, 'SUSPENDED', deadline(20));

    await expect(change).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
    await expect
      .poll(async () => [...(await signEverywhere(token, version))], { timeout: 5_000 })
      .toEqual(['KEY_STATE_FORBIDS']);
  });
});

describe('several daemons on one token', () => {
  test('make one version where they make the same one at once', async () => {
    const { token: one } = await faulty.start({ hosts: 1, sessionsPerHost: 2 });
    const { token: other } = await faulty.start({ hosts: 1, sessionsPerHost: 2 });
    await createKey(one, 'shared');

    for (let version = 2; version < 12; version++) {
      const wanted = [one, other].map((token) =>
        token.createVersion(newVersion('shared', version), deadline()),
      );
      const keys = await Promise.all(wanted);

      const ids = keys.map((key) => key.versions[0]?.id);
      expect(new Set(ids).size).toBe(1);
      const found = await Promise.all(
        [one, other].map((token) => token.findKey('shared', deadline())),
      );
      for (const key of found) expect(key?.versions.map((made) => made.version)[0]).toBe(version);
      for (const key of found) expect(key?.versions).toHaveLength(version);
    }
  });

  test('change versions that the other one has made', async () => {
    const { token: one } = await faulty.start({ hosts: 1, sessionsPerHost: 2 });
    const { token: other } = await faulty.start({ hosts: 1, sessionsPerHost: 2 });
    await createKey(one, 'changed');

    for (let version = 2; version < 8; version++) {
      const [maker, changer] = version % 2 === 0 ? [one, other] : [other, one];
      const { versions } = await maker.createVersion(newVersion('changed', version), deadline());
      const key = await changer.setVersionState(
        versions[0] as KeyVersion,
        'DEACTIVATED',
        deadline(),
      );
      expect(key.versions[0]).toMatchObject({ version, state: 'DEACTIVATED' });
    }
  });
});
