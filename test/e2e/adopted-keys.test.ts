import { createHmac, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ErrorReason } from '../../src/domain/errors.ts';
import { connectClient, failureOf, type TestClient } from '../support/client.ts';
import { baseConfig, type Daemon, startDaemon } from '../support/daemon.ts';
import { setUsage } from '../support/key-editor.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { until } from '../support/wait.ts';

const DATA = Buffer.from('a message');

/** The first key costs the start of a token host. */
const DEADLINE_MS = 15_000;

let softHsm: SoftHsm;
let daemon: Daemon;
let client: TestClient;

beforeAll(async () => {
  softHsm = createSoftHsm();
  const { token } = baseConfig(softHsm);
  const adopt = [
    { label: 'legacy-long', algorithm: 'HMAC_SHA512' },
    { label: 'legacy-*', algorithm: 'HMAC_SHA256' },
  ];
  daemon = await startDaemon(softHsm, {
    config: {
      token: { ...(token as object), adopt },
      // How long a change behind the daemon's back may stay unseen.
      keys: { refreshIntervalMs: 1_000 },
    },
  });
  client = connectClient(daemon.addresses[0] as string, undefined, DEADLINE_MS);
});

afterAll(async () => {
  client?.close();
  await daemon?.stop();
  softHsm?.remove();
});

/** Waits, for longer than changes stay unseen, until a call fails for a reason. */
async function untilRefused(call: () => Promise<unknown>, reason: ErrorReason): Promise<void> {
  const reasonNow = () =>
    call().then(
      () => undefined,
      (error) => failureOf(Promise.reject(error)),
    );
  await expect.poll(reasonNow, { timeout: 10_000 }).toMatchObject({ reason });
}

/** A key that pkcs11-tool has generated on the token. */
function generate(label: string): void {
  softHsm.pkcs11Tool(
    ...['--keygen', '--key-type', 'GENERIC:32', '--label', label, '--usage-sign', '--sensitive'],
  );
}

async function sign(key: string): Promise<Buffer> {
  const { signature } = await client.sign({ key, data: DATA });
  return signature as Buffer;
}

async function listed(): Promise<(string | undefined)[]> {
  const { keys } = await client.listKeys({});
  return keys.map(({ name }) => name);
}

describe('a key of another tool that an adopt rule covers', () => {
  test.each([
    ['legacy-written', 'sha256'],
    ['legacy-long', 'sha512'],
  ])('signs and verifies by the first rule that covers it: %s with %s', async (key, digest) => {
    const value = randomBytes(64);
    softHsm.writeKey({ label: key, value });

    const signature = await sign(key);
    const verification = await client.verify({ key, data: DATA, signature });

    expect(signature).toEqual(createHmac(digest, value).update(DATA).digest());
    expect(verification).toMatchObject({ valid: true, version: 1 });
  });

  test('is version 1 without a create time, and shows what the token reports', async () => {
    softHsm.writeKey({ label: 'legacy-imported', value: randomBytes(32), id: '2a' });
    generate('legacy-generated');

    const imported = await client.getKey({ key: 'legacy-imported' });
    const generated = await client.getKey({ key: 'legacy-generated' });

    expect(imported.key).toEqual({
      name: 'legacy-imported',
      algorithm: 'HMAC_SHA256',
      primaryVersion: 1,
      versions: [
        {
          id: expect.stringMatching(/^[0-9a-f]{32}$/),
          version: 1,
          state: 'ACTIVE',
          algorithm: 'HMAC_SHA256',
          attributes: {
            sensitive: true,
            extractable: false,
            alwaysSensitive: false,
            neverExtractable: false,
            local: false,
          },
          origin: 'IMPORTED',
        },
      ],
      destroyable: true,
    });
    expect(generated.key?.versions?.[0]).toMatchObject({
      version: 1,
      attributes: { alwaysSensitive: true, neverExtractable: true, local: true },
    });
    expect(generated.key?.versions?.[0]).not.toHaveProperty('createTime');
  });

  test('takes its name from CreateKey', async () => {
    generate('legacy-taken');

    const call = client.createKey({ key: 'legacy-taken', algorithm: 'HMAC_SHA256' });

    expect(await failureOf(call)).toMatchObject({ reason: 'KEY_ALREADY_EXISTS' });
  });
});

test('a key that no rule covers is not there for clients, but its name is taken', async () => {
  generate('foreign');
  const key = 'foreign';

  expect(await failureOf(client.sign({ key, data: DATA }))).toMatchObject({
    reason: 'KEY_NOT_FOUND',
  });
  expect(await failureOf(client.getKey({ key }))).toMatchObject({ reason: 'KEY_NOT_FOUND' });
  expect(await listed()).not.toContain('foreign');
  expect(await failureOf(client.createKey({ key, algorithm: 'HMAC_SHA256' }))).toMatchObject({
    reason: 'KEY_ALREADY_EXISTS',
    message: expect.stringContaining('no adopt rule'),
  });
});

describe('two keys that claim one name and version', () => {
  test.each([
    ['with ids of their own', 'legacy-twins', ['a'.repeat(32), 'b'.repeat(32)]],
    ['without ids', 'legacy-nameless', [undefined, undefined]],
  ])('are refused and named in the log, and no other key is: %s', async (_, key, ids) => {
    for (const id of ids) {
      softHsm.writeKey({ label: key, value: randomBytes(32), ...(id !== undefined && { id }) });
    }
    generate(`${key}-neighbour`);

    // The keys may have been read between the writing of the one and of the other.
    await untilRefused(() => client.sign({ key, data: DATA }), 'KEY_AMBIGUOUS');
    await untilRefused(
      () => client.verify({ key, data: DATA, signature: randomBytes(32) }),
      'KEY_AMBIGUOUS',
    );

    await expect(sign(`${key}-neighbour`)).resolves.toHaveLength(32);
    const told = () => daemon.logLines.find((line) => line['key'] === key && 'ids' in line);
    await until(() => told() !== undefined);
    expect(told()).toMatchObject({ level: 'warn', versions: [1] });
    expect([told()?.['ids']].flat().sort()).toEqual(
      ids.map((id) => id ?? expect.stringMatching(/^[0-9a-f]{32}$/)),
    );
  });
});

test('one key that stands there twice is one key', async () => {
  const value = randomBytes(32);
  for (const _ of [1, 2]) softHsm.writeKey({ label: 'legacy-double', value, id: 'c'.repeat(32) });

  const signature = await sign('legacy-double');

  expect(signature).toEqual(createHmac('sha256', value).update(DATA).digest());
  expect((await client.getKey({ key: 'legacy-double' })).key?.versions).toHaveLength(1);
});

describe("behind the daemon's back", () => {
  test('a key that may only verify any more verifies what it has signed', async () => {
    const key = 'deactivated';
    await client.createKey({ key, algorithm: 'HMAC_SHA256' });
    const signature = await sign(key);

    setUsage(softHsm, key, { sign: false, verify: true });

    await untilRefused(() => client.sign({ key, data: DATA }), 'KEY_STATE_FORBIDS');
    expect(await client.verify({ key, data: DATA, signature })).toMatchObject({ valid: true });
    expect((await client.getKey({ key })).key).toMatchObject({
      primaryVersion: 0,
      versions: [{ state: 'DEACTIVATED' }],
    });
  });

  test('a key that may do nothing any more does nothing until it may again', async () => {
    const key = 'suspended';
    await client.createKey({ key, algorithm: 'HMAC_SHA256' });
    const signature = await sign(key);

    setUsage(softHsm, key, { sign: false, verify: false });

    await untilRefused(() => client.sign({ key, data: DATA }), 'KEY_STATE_FORBIDS');
    await untilRefused(() => client.verify({ key, data: DATA, signature }), 'KEY_STATE_FORBIDS');

    setUsage(softHsm, key, { sign: true, verify: true });

    await expect.poll(() => sign(key), { timeout: 10_000 }).toEqual(signature);
  });

  test('a key that is deleted is not there any more', async () => {
    const key = 'deleted';
    await client.createKey({ key, algorithm: 'HMAC_SHA256' });
    await sign(key);

    softHsm.pkcs11Tool('--delete-object', '--type', 'secrkey', '--label', key);

    await untilRefused(() => client.sign({ key, data: DATA }), 'KEY_NOT_FOUND');
    expect(await failureOf(client.getKey({ key }))).toMatchObject({ reason: 'KEY_NOT_FOUND' });
    expect(await listed()).not.toContain(key);
  });
});
