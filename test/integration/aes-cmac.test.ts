import { randomBytes } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Algorithm } from '../../src/domain/algorithm.ts';
import type { KeyVersion } from '../../src/domain/key.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import { AttributeReader, findObjects } from '../../src/pkcs11/attributes.ts';
import { KeyChanges } from '../../src/pkcs11/key-changes.ts';
import { KeyLocations } from '../../src/pkcs11/key-locations.ts';
import { openSession } from '../../src/pkcs11/session.ts';
import type { TokenConnection } from '../../src/pkcs11/token-connection.ts';
import { TokenSession } from '../../src/pkcs11/token-session.ts';
import { aesCmac } from '../support/aes-cmac.ts';
import { setUsage } from '../support/key-editor.ts';
import { keysOf } from '../support/session-keys.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { connectTo } from '../support/token-sessions.ts';
import vectors from '../vectors/aes-cmac.json' with { type: 'json' };

const VECTOR_DATA = Buffer.from(vectors.data, 'hex');
const RANDOM_KEY = randomBytes(32);

/** Around the cipher's blocks, and more than one call of the library takes at once. */
const LENGTHS = [0, 1, 15, 16, 17, 31, 32, 33, 1_000, 65_536, 300_001];

let softHsm: SoftHsm;
let connection: TokenConnection;
let session: TokenSession;

beforeAll(() => {
  softHsm = createSoftHsm();
  for (const [algorithm, key] of Object.entries(vectors.keys)) {
    writeAesKey(`${algorithm}.vectors`, Buffer.from(key, 'hex'));
  }
  writeAesKey('AES_256_CMAC.random', RANDOM_KEY);
  writeAesKey('AES_256_CMAC.verifies', RANDOM_KEY);
  writeAesKey('AES_256_CMAC.short', randomBytes(16));
  writeAesKey('AES_128_CMAC.odd', randomBytes(24));
  setUsage(softHsm, 'AES_256_CMAC.verifies', { sign: false, verify: true });
  connection = connectTo(softHsm);
  generateDesKey('AES_128_CMAC.des');
});

afterEach(() => session.close());

afterAll(() => {
  connection?.close();
  softHsm?.remove();
});

function writeAesKey(label: string, value: Buffer): void {
  softHsm.writeKey({ label, value, type: `AES:${value.byteLength}` });
}

/** A key of a type that has no CKA_VALUE_LEN. */
function generateDesKey(label: string): void {
  const { lib, handle, close } = openSession(connection.slot);
  lib.C_GenerateKey(handle, { mechanism: pkcs11js.CKM_DES3_KEY_GEN }, [
    { type: pkcs11js.CKA_TOKEN, value: true },
    { type: pkcs11js.CKA_LABEL, value: label },
  ]);
  close();
}

function start(warm: boolean): void {
  session = new TokenSession({
    slot: connection.slot,
    adopt: (['AES_128_CMAC', 'AES_256_CMAC'] as const).map((algorithm) => ({
      label: `${algorithm}.*`,
      algorithm,
    })),
    canaryMac: connection.canaryMac,
    locations: new KeyLocations(),
    warmKeys: warm ? { maxCopies: 10, recheckMs: 60_000 } : undefined,
  });
}

function versionOf(name: string): KeyVersion {
  const version = session.findKey(name)?.versions[0];
  if (!version) throw new Error(`there is no key ${name}`);
  return version;
}

function create(name: string, algorithm: Algorithm): KeyVersion {
  const id = encodeVersionId({ createTimeMs: Date.now(), version: 1, tag: randomBytes(6) });
  const { key } = new KeyChanges(session).createKey({ name, algorithm, id });
  return key.versions[0] as KeyVersion;
}

/** As {@link TokenSession.verify}, for one message and one version. */
function isValid(version: KeyVersion, data: Buffer, mac: Buffer): boolean {
  return session.verify([version], [{ data, mac }]).result[0] === 0;
}

describe.each([
  ['with the key itself', false],
  ['with a copy of it', true],
])('a MAC %s', (_, warm) => {
  test.each(vectors.cases)('is the known one of $bytes bytes with $algorithm', (vector) => {
    start(warm);
    const version = versionOf(`${vector.algorithm}.vectors`);
    const data = VECTOR_DATA.subarray(0, vector.bytes);

    const { result } = session.sign(version, [data]);

    expect(result.map((mac) => mac.toString('hex'))).toEqual([vector.mac]);
    expect(isValid(version, data, Buffer.from(vector.mac, 'hex'))).toBe(true);
  });

  test('is the same as that of other software, whatever the length', () => {
    start(warm);
    const version = versionOf('AES_256_CMAC.random');
    const batch = LENGTHS.map((bytes) => randomBytes(bytes));

    const { result } = session.sign(version, batch);

    expect(result.map((mac) => mac.toString('hex'))).toEqual(
      batch.map((data) => aesCmac(RANDOM_KEY, data).toString('hex')),
    );
  });
});

describe('a key that only verifies', () => {
  test.each(LENGTHS)('tells right MACs of %i bytes from wrong ones', (bytes) => {
    start(false);
    const version = versionOf('AES_256_CMAC.verifies');
    const data = randomBytes(bytes);
    const mac = aesCmac(RANDOM_KEY, data);
    const wrong = Buffer.from(mac);
    wrong[15] = (wrong[15] ?? 0) ^ 1;

    expect(isValid(version, data, mac)).toBe(true);
    expect(isValid(version, data, wrong)).toBe(false);
    expect(isValid(version, data, mac.subarray(0, 8))).toBe(false);
    expect(isValid(version, data, Buffer.alloc(0))).toBe(false);
    expect(isValid(version, data, mac)).toBe(true);
  });

  test('does not sign', () => {
    start(false);

    expect(() => session.sign(versionOf('AES_256_CMAC.verifies'), [VECTOR_DATA])).toThrow(
      expect.objectContaining({ reason: 'KEY_STATE_FORBIDS' }),
    );
  });
});

describe('keys', () => {
  test.each([
    ['AES_128_CMAC', 16],
    ['AES_256_CMAC', 32],
  ] as const)('for %s have %i bytes and no other use', (algorithm, bytes) => {
    start(false);
    create(`made-${bytes}`, algorithm);

    const observer = openSession(connection.slot);
    const [handle] = findObjects(observer, new Map([[pkcs11js.CKA_LABEL, `made-${bytes}`]]));
    const attributes = new AttributeReader().read(observer, handle as Buffer, [
      ...[pkcs11js.CKA_KEY_TYPE, pkcs11js.CKA_VALUE_LEN, pkcs11js.CKA_ALLOWED_MECHANISMS],
      ...[pkcs11js.CKA_SIGN, pkcs11js.CKA_VERIFY, pkcs11js.CKA_ENCRYPT, pkcs11js.CKA_DECRYPT],
      ...[pkcs11js.CKA_WRAP, pkcs11js.CKA_UNWRAP, pkcs11js.CKA_DERIVE],
    ]);
    observer.close();

    expect(attributes.number(pkcs11js.CKA_KEY_TYPE)).toBe(pkcs11js.CKK_AES);
    expect(attributes.number(pkcs11js.CKA_VALUE_LEN)).toBe(bytes);
    expect(attributes.numbers(pkcs11js.CKA_ALLOWED_MECHANISMS)).toEqual([pkcs11js.CKM_AES_CMAC]);
    const uses = ['SIGN', 'VERIFY', 'ENCRYPT', 'DECRYPT', 'WRAP', 'UNWRAP', 'DERIVE'] as const;
    expect(uses.filter((use) => attributes.flag(pkcs11js[`CKA_${use}`]))).toEqual([
      'SIGN',
      'VERIFY',
    ]);
  });

  test('are known by their length again', () => {
    start(false);
    for (const algorithm of ['AES_128_CMAC', 'AES_256_CMAC'] as const) {
      const made = create(`again-${algorithm}`, algorithm);

      expect(versionOf(`again-${algorithm}`)).toEqual(made);
      expect(made.algorithm).toBe(algorithm);
    }
  });

  test('of another length or type than their rule says are not served', () => {
    start(false);

    const names = keysOf(session).map(({ name }) => name);

    expect(names).toEqual(expect.arrayContaining(['AES_128_CMAC.vectors', 'AES_256_CMAC.random']));
    expect(names).not.toEqual(expect.arrayContaining(['AES_256_CMAC.short']));
    expect(names).not.toEqual(expect.arrayContaining(['AES_128_CMAC.odd']));
    expect(names).not.toEqual(expect.arrayContaining(['AES_128_CMAC.des']));
  });
});
