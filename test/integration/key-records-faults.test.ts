import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DEFAULT_SETTINGS, type KeySettings } from '../../src/domain/key-record.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import type { NewKey } from '../../src/service/token-values.ts';
import { deadline, FaultyToken } from '../support/faulty-token.ts';
import { on, type Pkcs11Shim } from '../support/pkcs11-shim.ts';

const SETTINGS: KeySettings = { rotationPeriodMs: 3_600_000, destroyable: false };

let faulty: FaultyToken;
let shim: Pkcs11Shim;

beforeAll(() => {
  faulty = new FaultyToken();
  shim = faulty.shim;
});

afterEach(() => faulty.reset());

afterAll(() => faulty?.remove());

function newKey(name: string, settings?: KeySettings, tag = randomBytes(6)): NewKey {
  const id = encodeVersionId({ createTimeMs: Date.now(), version: 1, tag });
  return { name, algorithm: 'HMAC_SHA256', id, settings };
}

function objects(): string {
  return faulty.softHsm.pkcs11Tool('--list-objects');
}

describe('a token without data objects', () => {
  const refusals = [
    'CKR_ATTRIBUTE_VALUE_INVALID',
    'CKR_ATTRIBUTE_TYPE_INVALID',
    'CKR_TEMPLATE_INCONSISTENT',
    'CKR_TOKEN_WRITE_PROTECTED',
  ] as const;

  test.each(refusals)('that answers %s makes no key with settings', async (code) => {
    const { token } = await faulty.start();
    await shim.control(on('C_CreateObject').return(code));
    const before = objects();

    const creation = token.createKey(newKey(`refused-${code}`, SETTINGS), deadline());

    await expect(creation).rejects.toMatchObject({
      reason: 'TOKEN_REFUSED',
      message: expect.stringContaining('this token keeps no data objects'),
    });
    expect(objects()).toBe(before);
  });

  test('makes keys without settings, and says that it keeps none', async () => {
    const { token } = await faulty.start();
    await shim.control(on('C_CreateObject').return('CKR_TEMPLATE_INCONSISTENT'));

    const key = await token.createKey(newKey('plain'), deadline());
    const { records } = await token.info(deadline());

    expect(key.settings).toEqual(DEFAULT_SETTINGS);
    expect(records).toEqual({
      kept: false,
      found: expect.stringContaining('CKR_TEMPLATE_INCONSISTENT'),
    });
  });

  test('does not seem to be one for a failure of another kind', async () => {
    const { token } = await faulty.start();
    await shim.control(on('C_CreateObject').return('CKR_DEVICE_ERROR'));

    expect((await token.info(deadline())).records.kept).toBeUndefined();
  });
});

describe('a host that is lost', () => {
  test('before the settings of a new key are there leaves nothing behind', async () => {
    const { token } = await faulty.start();
    await shim.control(on('C_CreateObject').abort({ times: 1 }));
    const before = objects();

    const creation = token.createKey(newKey('lost-before', SETTINGS), deadline(20_000));
    await creation.catch(() => undefined);

    const key = await token.findKey('lost-before', deadline());
    expect(key?.settings ?? SETTINGS).toEqual(SETTINGS);
    if (!key) expect(objects()).toBe(before);
  });

  test('between the settings and the key leaves no key, and the next creation begins anew', async () => {
    const { token } = await faulty.start();
    await shim.control(on('C_GenerateKey').abort({ times: 1 }));
    const tag = randomBytes(6);

    const creation = token.createKey(newKey('lost-between', SETTINGS, tag), deadline());
    await expect(creation).rejects.toMatchObject({ reason: 'TOKEN_UNAVAILABLE' });
    const between = await token.findKey('lost-between', deadline());
    const key = await token.createKey(
      newKey('lost-between', { ...SETTINGS, destroyable: true }, tag),
      deadline(20_000),
    );

    expect(between).toBeUndefined();
    expect(key.settings).toEqual({ ...SETTINGS, destroyable: true });
    expect(key.leftovers).toBeUndefined();
  });

  test('while it replaces a record leaves one that counts, and the change can be made again', async () => {
    const { token } = await faulty.start();
    const key = await token.createKey(newKey('replaced', SETTINGS), deadline());
    const subject = { kind: 'settings', key: 'replaced', id: key.versions[0]?.id ?? '' } as const;
    const settings = { ...SETTINGS, rotationPeriodMs: 7_200_000 };
    const change = () => ({ ...subject, version: 1, settings });
    await shim.control(on('C_DestroyObject').abort({ times: 1 }));

    await token.changeRecord(subject, change, deadline(20_000)).catch(() => undefined);
    const between = await token.findKey('replaced', deadline());
    await token.changeRecord(subject, change, deadline(20_000));

    expect([SETTINGS, settings]).toContainEqual(between?.settings);
    expect(await token.findKey('replaced', deadline())).toEqual({ ...key, settings });
  });
});
