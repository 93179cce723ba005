import { createHmac, generateKeyPairSync, randomBytes } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Algorithm } from '../../src/domain/algorithm.ts';
import type { Key, KeyVersion } from '../../src/domain/key.ts';
import { encodeRecord } from '../../src/domain/key-record.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import { ulongArray } from '../../src/pkcs11/attributes.ts';
import { publicAttributes } from '../../src/pkcs11/public-key.ts';
import type { NewKey } from '../../src/service/token-values.ts';
import type { HostedToken } from '../../src/token-host/hosted-token.ts';
import { CryptokiProcess } from '../support/cryptoki-process.ts';
import { startHostedToken } from '../support/hosted-token.ts';
import { signOne } from '../support/one-message.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

const DATA = Buffer.from('data');
/** Of a key that the attacker knows. */
const VALUE = randomBytes(32);

const { signal } = new AbortController();

let softHsm: SoftHsm;
let token: HostedToken;
/** Reaches the token as sigild does, but has no PIN. */
let attacker: CryptokiProcess;
let session: Buffer;
let name: string;

beforeAll(async () => {
  softHsm = createSoftHsm();
  token = await startHostedToken(softHsm, { hosts: 1 });
  attacker = new CryptokiProcess(softHsm);
  await attacker.initialize();
  session = await attacker.openSession();
});

beforeEach(() => {
  name = `key-${randomBytes(4).toString('hex')}`;
});

afterAll(async () => {
  await attacker?.kill();
  await token?.close(5_000);
  softHsm?.remove();
});

function idOf(version: number): Uint8Array {
  return encodeVersionId({ createTimeMs: Date.now(), version, tag: randomBytes(6) });
}

function newKey(algorithm: Algorithm = 'HMAC_SHA256'): NewKey {
  return { name, algorithm, id: idOf(1) };
}

async function plant(attributes: Readonly<Record<number, unknown>>): Promise<void> {
  const template = Object.entries(attributes).map(([type, value]) => ({
    type: Number(type),
    value,
  }));
  await attacker.call('C_CreateObject', session, [
    ...template,
    { type: pkcs11js.CKA_TOKEN, value: true },
    { type: pkcs11js.CKA_PRIVATE, value: false },
  ]);
}

/** Puts a MAC key onto the token that looks as if sigild had made it. */
function plantSecret(label: string, id: Uint8Array): Promise<void> {
  return plant({
    [pkcs11js.CKA_CLASS]: pkcs11js.CKO_SECRET_KEY,
    [pkcs11js.CKA_KEY_TYPE]: pkcs11js.CKK_GENERIC_SECRET,
    [pkcs11js.CKA_LABEL]: label,
    [pkcs11js.CKA_ID]: Buffer.from(id),
    [pkcs11js.CKA_SIGN]: true,
    [pkcs11js.CKA_VERIFY]: true,
    [pkcs11js.CKA_ALLOWED_MECHANISMS]: ulongArray([pkcs11js.CKM_SHA256_HMAC]),
    [pkcs11js.CKA_VALUE]: VALUE,
  });
}

async function found(label = name): Promise<Key | undefined> {
  const [byName, { keys }] = await Promise.all([
    token.findKey(label, signal),
    token.listKeys(undefined, signal),
  ]);
  expect(keys.find((key) => key.name === label)?.versions).toEqual(byName?.versions);
  return byName;
}

test('a newer version that somebody without the PIN has put there is none', async () => {
  const made = await token.createKey(newKey(), signal);
  await plantSecret(name, idOf(2));

  const key = await found();

  expect(key?.versions).toEqual(made.versions);
});

test('a second object with the id of a version does not take its place, nor makes it ambiguous', async () => {
  const { versions } = await token.createKey(newKey(), signal);
  const version = versions[0] as KeyVersion;
  await plantSecret(name, Buffer.from(version.id, 'hex'));

  const macs = await Promise.all(
    Array.from({ length: 8 }, () => signOne(token, version, DATA, signal)),
  );

  const planted = createHmac('sha256', VALUE).update(DATA).digest('hex');
  const made = new Set(macs.map((mac) => Buffer.from(mac).toString('hex')));
  expect(made.size).toBe(1);
  expect([...made]).not.toContain(planted);
  expect((await found())?.versions).toEqual(versions);
});

test('a key of a new name is served by nobody, and CreateKey does not take it for its own', async () => {
  const wanted = newKey();
  await plantSecret(name, wanted.id);

  const key = await found();

  expect(key).toBeUndefined();
  await expect(token.createKey(wanted, signal)).rejects.toMatchObject({
    reason: 'KEY_ALREADY_EXISTS',
  });
});

test('a key of a name that a rule is for is adopted, but not as a version of sigild', async () => {
  await plantSecret(`adopted-${name}`, Buffer.from('01'));
  await plantSecret(`adopted-${name}`, idOf(2));

  const key = await found(`adopted-${name}`);

  expect(key?.versions.map(({ version }) => version)).toEqual([1]);
});

test('a canary key that somebody without the PIN has put there proves nothing', async () => {
  await plantSecret('sigild:canary', Buffer.from([0]));

  const fresh = await startHostedToken(softHsm, { hosts: 1 });

  await Promise.all([token.probe(signal), fresh.probe(signal)]);
  await fresh.close(5_000);
});

test('a record that somebody without the PIN has put there changes nothing', async () => {
  const { versions, settings } = await token.createKey(newKey(), signal);
  const { id } = versions[0] as KeyVersion;
  const stamp = { revision: 7, nonce: randomBytes(8).toString('hex') };
  const plan = { rotationPeriodMs: 1, destroyable: false };
  const record = { kind: 'settings', key: name, id, version: 1, settings: plan } as const;
  await plant({
    [pkcs11js.CKA_CLASS]: pkcs11js.CKO_DATA,
    [pkcs11js.CKA_APPLICATION]: 'sigild',
    [pkcs11js.CKA_LABEL]: name,
    [pkcs11js.CKA_VALUE]: Buffer.from(encodeRecord({ record, stamp })),
  });

  const key = await found();

  expect(key?.settings).toEqual(settings);
});

test('a public key in the place of the one of a pair is not given out', async () => {
  const { versions } = await token.createKey(newKey('EC_SIGN_P256_SHA256'), signal);
  const version = versions[0] as KeyVersion;
  const [before] = await token.publicKeys([version], signal);
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const point = publicAttributes(publicKey);
  await plant({
    ...Object.fromEntries(point),
    [pkcs11js.CKA_CLASS]: pkcs11js.CKO_PUBLIC_KEY,
    [pkcs11js.CKA_KEY_TYPE]: pkcs11js.CKK_EC,
    [pkcs11js.CKA_LABEL]: name,
    [pkcs11js.CKA_ID]: Buffer.from(version.id, 'hex'),
    [pkcs11js.CKA_VERIFY]: true,
  });

  const [after] = await token.publicKeys([version], signal);

  expect(after).toEqual(before);
  expect((await found())?.versions).toEqual(versions);
});
