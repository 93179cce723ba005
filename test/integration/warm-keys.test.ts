import { createHmac, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pkcs11js from 'pkcs11js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import type { KeyVersion } from '../../src/domain/key.ts';
import { findObjects } from '../../src/pkcs11/attributes.ts';
import { KeyLocations } from '../../src/pkcs11/key-locations.ts';
import { openSession } from '../../src/pkcs11/session.ts';
import { connectToken, type TokenConnection } from '../../src/pkcs11/token-connection.ts';
import { TokenSession } from '../../src/pkcs11/token-session.ts';
import type { HostedToken } from '../../src/token-host/hosted-token.ts';
import { startHostedToken } from '../support/hosted-token.ts';
import { setUsage } from '../support/key-editor.ts';
import { signOne, verifyOne } from '../support/one-message.ts';
import { keysOf } from '../support/session-keys.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

const RECHECK_MS = 300;
const DATA = Buffer.from('data');
const signal = new AbortController().signal;

function reasonOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'done',
    (error: unknown) => (error instanceof SigildError ? error.reason : String(error)),
  );
}

describe('hosts that sign with copies of keys', () => {
  let softHsm: SoftHsm;
  let token: HostedToken;

  beforeAll(async () => {
    softHsm = createSoftHsm();
    token = await startHostedToken(softHsm, { warmKeys: 'on', recheckMs: RECHECK_MS });
  });

  afterAll(async () => {
    await token?.close(2_000);
    softHsm?.remove();
  });

  async function usedKey(label: string): Promise<{ version: KeyVersion; value: Buffer }> {
    const value = randomBytes(32);
    softHsm.writeKey({ label, value });
    const version = (await token.findKey(label, signal))?.versions[0] as KeyVersion;
    // Often enough for every lane to have its copy.
    for (let use = 0; use < 32; use++) await signOne(token, version, DATA, signal);
    return { version, value };
  }

  test('make the same MACs, before and after each look at the key itself', async () => {
    const { version, value } = await usedKey('adopted-same');

    for (let use = 0; use < 60; use++) {
      const data = randomBytes(use);
      const mac = await signOne(token, version, data, signal);
      expect(mac).toEqual(createHmac('sha256', value).update(data).digest());
      await sleep(RECHECK_MS / 40);
    }
  });

  test('notice within the interval that another program has disabled a key', async () => {
    const { version } = await usedKey('adopted-disabled');
    const mac = await signOne(token, version, DATA, signal);

    setUsage(softHsm, 'adopted-disabled', { sign: false, verify: true });
    await sleep(RECHECK_MS);

    for (let use = 0; use < 32; use++) {
      expect(await reasonOf(signOne(token, version, DATA, signal))).toBe('KEY_STATE_FORBIDS');
    }
    expect(await verifyOne(token, [version], DATA, mac, signal)).toEqual(version);
  });

  test('notice within the interval that another program has destroyed a key', async () => {
    const { version } = await usedKey('adopted-destroyed');

    softHsm.pkcs11Tool('--delete-object', '--type', 'secrkey', '--label', 'adopted-destroyed');
    await sleep(RECHECK_MS);

    for (let use = 0; use < 32; use++) {
      expect(await reasonOf(signOne(token, version, DATA, signal))).toBe('KEY_NOT_FOUND');
    }
  });
});

describe('a session with copies of keys', () => {
  let softHsm: SoftHsm;
  let connection: TokenConnection;
  const sessions: TokenSession[] = [];

  beforeAll(() => {
    softHsm = createSoftHsm();
    process.env['SOFTHSM2_CONF'] = softHsm.configuration;
    for (const label of ['adopted-a', 'adopted-b', 'adopted-c']) {
      softHsm.writeKey({ label, value: randomBytes(32) });
    }
    connection = connectToken({
      module: softHsm.module,
      selector: { label: softHsm.label },
      expectedSerial: undefined,
      pin: { file: softHsm.pinFile, credential: false },
      warmKeys: 'auto',
    });
  });

  afterEach(() => {
    for (const session of sessions.splice(0)) session.close();
  });

  afterAll(() => {
    connection?.close();
    softHsm?.remove();
  });

  function start(maxCopies: number | undefined): TokenSession {
    const session = new TokenSession({
      slot: connection.slot,
      adopt: [{ label: 'adopted-*', algorithm: 'HMAC_SHA256' }],
      canaryMac: connection.canaryMac,
      locations: new KeyLocations(),
      warmKeys: maxCopies === undefined ? undefined : { maxCopies, recheckMs: 60_000 },
    });
    sessions.push(session);
    return session;
  }

  /** Objects that go with the sessions which made them. */
  function sessionObjects(extractable?: boolean): number {
    return handlesOfCopies(extractable).length;
  }

  function handlesOfCopies(extractable?: boolean): string[] {
    const observer = openSession(connection.slot);
    const template = new Map<number, number | boolean>([
      [pkcs11js.CKA_CLASS, pkcs11js.CKO_SECRET_KEY],
      [pkcs11js.CKA_TOKEN, false],
    ]);
    if (extractable !== undefined) template.set(pkcs11js.CKA_EXTRACTABLE, extractable);
    const found = findObjects(observer, template);
    observer.close();
    return found.map((handle) => handle.toString('hex'));
  }

  function signWithAll(session: TokenSession): void {
    for (const { versions } of keysOf(session)) {
      for (const version of versions) session.sign(version, [DATA]);
    }
  }

  test('tells what it measured and what it decided', () => {
    expect(connection.warmth).toEqual({
      warm: expect.any(Boolean),
      why: expect.stringMatching(/measured .* with a copy, .* with the key/),
    });
  });

  test('holds no more copies than it may, none of them extractable', () => {
    const session = start(2);

    for (let round = 0; round < 3; round++) signWithAll(session);

    expect(sessionObjects()).toBe(2);
    expect(sessionObjects(true)).toBe(0);
  });

  test('keeps its copies when keys take turns that are used little', () => {
    const session = start(2);
    for (let round = 0; round < 3; round++) signWithAll(session);
    const before = handlesOfCopies();

    for (let round = 0; round < 5; round++) signWithAll(session);

    expect(handlesOfCopies()).toEqual(before);
  });

  test('has a copy of a key that is used much instead of one that was used longest ago', () => {
    const session = start(2);
    const [a, b, c] = keysOf(session).flatMap(({ versions }) => versions);
    for (const version of [a, b]) session.sign(version as KeyVersion, [DATA]);
    const before = handlesOfCopies();

    for (let use = 0; use < 32; use++) session.sign(c as KeyVersion, [DATA]);

    const after = handlesOfCopies();
    expect(after).toHaveLength(2);
    expect(after.filter((handle) => before.includes(handle))).toHaveLength(1);
  });

  test('leaves no copy behind when it closes', () => {
    const session = start(10);
    signWithAll(session);
    expect(sessionObjects()).toBe(3);

    session.close();

    expect(sessionObjects()).toBe(0);
  });

  test('makes no copy where they are not in use', () => {
    signWithAll(start(undefined));

    expect(sessionObjects()).toBe(0);
  });

  test('goes on with the key itself when the token makes an unsafe copy only', () => {
    const value = randomBytes(32);
    softHsm.writeKey({ label: 'adopted-extractable', value, sensitive: false });
    const session = start(10);
    const version = session.findKey('adopted-extractable')?.versions[0] as KeyVersion;

    const { result } = session.sign(version, [DATA]);

    expect(result).toEqual([createHmac('sha256', value).update(DATA).digest()]);
    expect(sessionObjects()).toBe(0);
  });
});
