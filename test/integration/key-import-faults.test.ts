import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import { wrapSecret } from '../../src/service/secret-wrapping.ts';
import type { HostedToken } from '../../src/token-host/hosted-token.ts';
import { deadline, FaultyToken } from '../support/faulty-token.ts';
import { on } from '../support/pkcs11-shim.ts';

/** A busy machine makes a key pair slowly. */
const LIMIT_MS = 40_000;

let faulty: FaultyToken;
let token: HostedToken;

beforeAll(() => {
  faulty = new FaultyToken();
});

beforeEach(async () => {
  ({ token } = await faulty.start({ hosts: 1, sessionsPerHost: 1, callTimeoutMs: 10_000 }));
});

afterEach(() => faulty.reset());

afterAll(() => faulty?.remove());

/** A key that is wrapped for the token and not there yet. */
async function wrappedKey(name: string) {
  const { id, publicKey, wrapping } = await token.makeImportKey('HMAC_SHA256', deadline(LIMIT_MS));
  const tag = randomBytes(6);
  return {
    ...{ name, algorithm: 'HMAC_SHA256' as const },
    id: encodeVersionId({ createTimeMs: Date.now(), version: 1, tag }),
    wrapped: { importKeyId: id, bytes: wrapSecret(randomBytes(32), publicKey, wrapping) },
  };
}

/** The reason for which work failed, or what it gave. */
async function outcomeOf(work: Promise<unknown>): Promise<unknown> {
  return work.catch((error: unknown) => {
    if (error instanceof SigildError) return error.reason;
    throw error;
  });
}

/** What stands on the token, by another program. */
function listed(): string {
  return faulty.softHsm.pkcs11Tool('--list-objects');
}

/** One import calls C_UnwrapKey four times: for a key to try and for the key, each with its AES key. */
describe('an import whose unwrapping fails', () => {
  test.each([
    [0, 'CKR_DEVICE_ERROR', 'TOKEN_UNAVAILABLE'],
    [1, 'CKR_DEVICE_ERROR', 'TOKEN_UNAVAILABLE'],
    [2, 'CKR_DEVICE_ERROR', 'TOKEN_UNAVAILABLE'],
    [3, 'CKR_DEVICE_ERROR', 'TOKEN_UNAVAILABLE'],
    [3, 'CKR_DEVICE_MEMORY', 'TOKEN_FULL'],
    [3, 'CKR_ATTRIBUTE_VALUE_INVALID', 'TOKEN_REFUSED'],
  ] as const)(
    'after %i calls with %s says %s, leaves nothing, and the next one works',
    async (skip, code, reason) => {
      const key = await wrappedKey('faulty');
      const before = listed();
      await faulty.shim.control(on('C_UnwrapKey').return(code, { skip }));

      expect(await outcomeOf(token.createKey(key, deadline(LIMIT_MS)))).toBe(reason);

      await faulty.shim.control();
      expect(listed()).toBe(before);
      const next = await wrappedKey(`next-${code}-${skip}`);
      expect(await token.createKey(next, deadline(LIMIT_MS))).toMatchObject({ name: next.name });
    },
  );

  test.each([1, 3])('after %i calls by a crash leaves nothing of its own', async (skip) => {
    const key = await wrappedKey('crashed');
    const before = listed();
    await faulty.shim.control(on('C_UnwrapKey').abort({ skip, times: 1 }));

    expect(await outcomeOf(token.createKey(key, deadline(LIMIT_MS)))).toBe('TOKEN_UNAVAILABLE');

    expect(listed()).toBe(before);
    expect(await outcomeOf(token.createKey(key, deadline(LIMIT_MS)))).toBe('IMPORT_KEY_NOT_FOUND');
  });
});

test('an import key is made anew where the token has failed to make one', async () => {
  await faulty.shim.control(on('C_GenerateKeyPair').return('CKR_DEVICE_ERROR', { times: 1 }));

  const making = token.makeImportKey('HMAC_SHA256', deadline(LIMIT_MS));

  expect(await outcomeOf(making)).toBe('TOKEN_UNAVAILABLE');
  const key = await wrappedKey('after-fault');
  expect(await token.createKey(key, deadline(LIMIT_MS))).toMatchObject({ name: 'after-fault' });
});
