import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import type { KeyVersion } from '../../src/domain/key.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import type { HostedToken } from '../../src/token-host/hosted-token.ts';
import { testPeer } from '../support/fake-agreement.ts';
import { deadline, FaultyToken } from '../support/faulty-token.ts';
import { on, type Pkcs11Shim } from '../support/pkcs11-shim.ts';

const ALGORITHM = 'EC_AGREE_P256_HMAC_SHA256';
const DATA = Buffer.from('data');

let faulty: FaultyToken;
let shim: Pkcs11Shim;

beforeAll(() => {
  faulty = new FaultyToken();
  shim = faulty.shim;
});

afterEach(() => faulty.reset());

afterAll(() => faulty?.remove());

async function create(token: HostedToken, name: string): Promise<KeyVersion> {
  const id = encodeVersionId({ createTimeMs: Date.now(), version: 1, tag: randomBytes(6) });
  const { versions } = await token.createKey({ name, algorithm: ALGORITHM, id }, deadline());
  return versions[0] as KeyVersion;
}

/** Signs, and tells how it went. */
function outcomeOf(token: HostedToken, version: KeyVersion, peer = testPeer(ALGORITHM)) {
  return token.signAgreed(version, peer.point, [DATA], deadline()).then(
    () => 'done',
    (error: unknown) => (error instanceof SigildError ? error.reason : String(error)),
  );
}

describe('a derivation that fails', () => {
  test.each([
    ['CKR_GENERAL_ERROR', 'TOKEN_UNAVAILABLE'],
    ['CKR_MECHANISM_PARAM_INVALID', 'ALGORITHM_UNSUPPORTED'],
    ['CKR_TEMPLATE_INCONSISTENT', 'TOKEN_REFUSED'],
    ['CKR_KEY_FUNCTION_NOT_PERMITTED', 'KEY_STATE_FORBIDS'],
  ] as const)('with %s costs its caller alone', async (code, reason) => {
    const { token } = await faulty.start({ hosts: 1, sessionsPerHost: 1 });
    const version = await create(token, `derive-${code}`);
    await shim.control(on('C_DeriveKey').return(code));

    expect(await outcomeOf(token, version)).toBe(reason);

    await shim.control();
    expect(await outcomeOf(token, version)).toBe('done');
  });

  test('for want of memory is done once more', async () => {
    const { token } = await faulty.start({ hosts: 1, sessionsPerHost: 1 });
    const version = await create(token, 'derive-again');
    await shim.control(on('C_DeriveKey').return('CKR_DEVICE_MEMORY', { times: 1 }));

    expect(await outcomeOf(token, version)).toBe('done');
  });
});

test('what was agreed upon serves later calls of the same peer', async () => {
  const { token } = await faulty.start({ hosts: 1, sessionsPerHost: 1 });
  const version = await create(token, 'kept');
  const peer = testPeer(ALGORITHM);
  await outcomeOf(token, version, peer);
  const before = shim.calls('C_DeriveKey');

  for (let call = 0; call < 20; call++) await outcomeOf(token, version, peer);

  expect(shim.calls('C_DeriveKey') - before).toBeLessThan(20);
});

test('a call goes on in another host when one is lost', async () => {
  const { token, hosts } = await faulty.start();
  const version = await create(token, 'goes-on');
  const peers = Array.from({ length: 16 }, () => testPeer(ALGORITHM));

  const calls = peers.map((peer) => outcomeOf(token, version, peer));
  const [host] = hosts;
  host?.kill();

  expect([...new Set(await Promise.all(calls))]).toEqual(['done']);
});
