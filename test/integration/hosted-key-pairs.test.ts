import { createHash, randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import type { KeyVersion } from '../../src/domain/key.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import type { NewKey } from '../../src/service/token-values.ts';
import type { HostedToken } from '../../src/token-host/hosted-token.ts';
import { deadline, FaultyToken } from '../support/faulty-token.ts';
import { signOne, verifyOne } from '../support/one-message.ts';
import { on, type Pkcs11Shim } from '../support/pkcs11-shim.ts';

const DATA = Buffer.from('data');
const DIGEST = createHash('sha256').update(DATA).digest();

let faulty: FaultyToken;
let shim: Pkcs11Shim;

beforeAll(() => {
  faulty = new FaultyToken();
  shim = faulty.shim;
});

afterEach(() => faulty.reset());

afterAll(() => faulty?.remove());

function newPair(name: string): NewKey {
  const id = encodeVersionId({ createTimeMs: Date.now(), version: 1, tag: randomBytes(6) });
  return { name, algorithm: 'EC_SIGN_P256_SHA256', id };
}

async function create(token: HostedToken, name: string): Promise<KeyVersion> {
  const { versions } = await token.createKey(newPair(name), deadline());
  return versions[0] as KeyVersion;
}

function outcomeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'done',
    (error: unknown) => (error instanceof SigildError ? error.reason : String(error)),
  );
}

/** Signs so often at once that every lane signs. @returns how it went, each outcome once */
async function signEverywhere(token: HostedToken, version: KeyVersion): Promise<string[]> {
  const calls = Array.from({ length: 64 }, () => signOne(token, version, DATA, deadline()));
  return [...new Set(await Promise.all(calls.map(outcomeOf)))];
}

/** Every object on the token, by class and label. */
function objects(): string {
  return faulty.softHsm.pkcs11Tool('--list-objects');
}

describe('a pair that the token does not make', () => {
  test.each([
    ['CKR_DEVICE_MEMORY', 'TOKEN_FULL'],
    ['CKR_MECHANISM_INVALID', 'ALGORITHM_UNSUPPORTED'],
    ['CKR_TEMPLATE_INCONSISTENT', 'TOKEN_REFUSED'],
    ['CKR_ATTRIBUTE_TYPE_INVALID', 'TOKEN_REFUSED'],
  ] as const)('for %s leaves nothing behind', async (code, reason) => {
    const { token } = await faulty.start();
    const before = objects();
    await shim.control(on('C_GenerateKeyPair').return(code));

    expect(await outcomeOf(token.createKey(newPair('unmade'), deadline()))).toBe(reason);

    expect(objects()).toBe(before);
    await shim.control();
    expect(await create(token, `made-after-${code}`)).toMatchObject({ state: 'ACTIVE' });
  });
});

describe('a pair', () => {
  test('verifies data without the token, and digests with it', async () => {
    const { token } = await faulty.start();
    const version = await create(token, 'verified');
    const mac = await signOne(token, version, DATA, deadline());
    const before = shim.calls('C_Verify');

    expect(await verifyOne(token, [version], DATA, mac, deadline())).toEqual(version);
    expect(shim.calls('C_Verify')).toBe(before);

    const batch = [{ data: DIGEST, mac }];
    expect(await token.verify([version], batch, deadline(), true)).toEqual([version]);
    expect(shim.calls('C_Verify')).toBe(before + 1);
  });

  test('that is suspended signs with no session, also when only one half could be changed', async () => {
    const { token } = await faulty.start({ hosts: 2, sessionsPerHost: 4 });
    const version = await create(token, 'half-suspended');
    expect(await signEverywhere(token, version)).toEqual(['done']);
    // The private half is the first of the two.
    await shim.control(on('C_SetAttributeValue').return('CKR_DEVICE_ERROR', { skip: 1 }));

    const change = token.setVersionState(version, 'SUSPENDED', deadline(20_000));

    expect(await outcomeOf(change)).not.toBe('done');
    expect(await signEverywhere(token, version)).toEqual(['KEY_STATE_FORBIDS']);
    await shim.control();
    const { versions } = await token.setVersionState(version, 'SUSPENDED', deadline(20_000));
    expect(versions.map(({ state }) => state)).toEqual(['SUSPENDED']);
  });

  test('goes on in another host when one is lost', async () => {
    const { token, hosts } = await faulty.start();
    const version = await create(token, 'goes-on');
    const mac = await signOne(token, version, DATA, deadline());
    const [host] = hosts;

    const calls = Array.from({ length: 32 }, () => signOne(token, version, DATA, deadline()));
    host?.kill();

    expect([...new Set(await Promise.all(calls.map(outcomeOf)))]).toEqual(['done']);
    expect(await verifyOne(token, [version], DATA, mac, deadline())).toEqual(version);
  });

  test('makes new signatures for the same data, each of which is valid', async () => {
    const { token } = await faulty.start();
    const version = await create(token, 'fresh');

    const macs = await token.sign(version, [DATA, DATA], deadline());

    expect(macs[0]).not.toEqual(macs[1]);
    const batch = macs.map((mac) => ({ data: DATA, mac }));
    expect(await token.verify([version], batch, deadline())).toEqual([version, version]);
  });
});
