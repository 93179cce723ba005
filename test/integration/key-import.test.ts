import { createHmac, randomBytes } from 'node:crypto';
import pkcs11js, { type PKCS11 } from 'pkcs11js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Algorithm } from '../../src/domain/algorithm.ts';
import { SigildError } from '../../src/domain/errors.ts';
import type { KeyVersion } from '../../src/domain/key.ts';
import { IMPORT_KEY_LIFE_MS, type ImportKey } from '../../src/domain/key-import.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import { AttributeReader, type Attributes, findObjects } from '../../src/pkcs11/attributes.ts';
import { ImportKeys } from '../../src/pkcs11/import-keys.ts';
import { KeyChanges } from '../../src/pkcs11/key-changes.ts';
import { KeyLocations } from '../../src/pkcs11/key-locations.ts';
import { openSession } from '../../src/pkcs11/session.ts';
import type { TokenConnection } from '../../src/pkcs11/token-connection.ts';
import { TokenSession } from '../../src/pkcs11/token-session.ts';
import { wrapSecret } from '../../src/service/secret-wrapping.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { connectTo } from '../support/token-sessions.ts';
import vectors from '../vectors/aes-cmac.json' with { type: 'json' };

const DATA = Buffer.from('data');

/** The mechanisms that may be RFC 5649. */
const AES_KEY_WRAP = [pkcs11js.CKM_AES_KEY_WRAP_PAD, 0x210b];

let softHsm: SoftHsm;
let connection: TokenConnection;
const sessions: TokenSession[] = [];

beforeAll(() => {
  softHsm = createSoftHsm();
  connection = connectTo(softHsm);
});

afterEach(() => {
  for (const session of sessions.splice(0)) session.close();
});

afterAll(() => {
  connection?.close();
  softHsm?.remove();
});

/** A library that lacks some mechanisms. */
function lacking(lib: PKCS11, mechanisms: readonly number[]): PKCS11 {
  const { CKR_MECHANISM_INVALID } = pkcs11js;
  return new Proxy(lib, {
    get(target, name) {
      const native = Reflect.get(target, name).bind(target);
      if (name !== 'C_GetMechanismInfo') return native;
      return (slot: Buffer, type: number) => {
        if (!mechanisms.includes(type)) return native(slot, type);
        throw new Error(`CKR_MECHANISM_INVALID:${CKR_MECHANISM_INVALID}`);
      };
    },
  });
}

function start({ warm = false, lacks = [] as readonly number[] } = {}) {
  const { slot, canaryMac } = connection;
  const session = new TokenSession({
    slot: { lib: lacking(slot.lib, lacks), handle: slot.handle },
    adopt: [
      { label: 'AES_128_CMAC.*', algorithm: 'AES_128_CMAC' },
      { label: 'AES_256_CMAC.*', algorithm: 'AES_256_CMAC' },
    ],
    canaryMac,
    locations: new KeyLocations(),
    warmKeys: warm ? { maxCopies: 10, recheckMs: 60_000 } : undefined,
  });
  sessions.push(session);
  return { session, changes: new KeyChanges(session) };
}

function wrapped({ id, publicKey, wrapping }: ImportKey, secret: Uint8Array) {
  return { importKeyId: id, bytes: wrapSecret(secret, publicKey, wrapping) };
}

function importKey(
  changes: KeyChanges,
  name: string,
  algorithm: Algorithm,
  secret: Uint8Array,
): KeyVersion {
  const id = encodeVersionId({ createTimeMs: Date.now(), version: 1, tag: randomBytes(6) });
  const offered = changes.makeImportKey(algorithm);
  const { key } = changes.createKey({ name, algorithm, id, wrapped: wrapped(offered, secret) });
  return key.versions[0] as KeyVersion;
}

function reasonOf(work: () => unknown): { reason: string; message: string } {
  try {
    work();
  } catch (error) {
    if (error instanceof SigildError) return { reason: error.reason, message: error.message };
    throw error;
  }
  throw new Error('it did not fail');
}

/** Every object that this process sees, those of its sessions too, by handle. */
function objects(): Map<string, Attributes> {
  const session = openSession(connection.slot);
  const types = [
    ...[pkcs11js.CKA_LABEL, pkcs11js.CKA_TOKEN, pkcs11js.CKA_CLASS, pkcs11js.CKA_SENSITIVE],
    ...[pkcs11js.CKA_EXTRACTABLE, pkcs11js.CKA_UNWRAP, pkcs11js.CKA_DECRYPT, pkcs11js.CKA_SIGN],
  ];
  try {
    return new Map(
      findObjects(session, new Map()).map((handle) => [
        handle.toString('hex'),
        new AttributeReader().read(session, handle, types),
      ]),
    );
  } finally {
    session.close();
  }
}

describe('the private half of an import key', () => {
  test('is an object of a session, which unwraps and can do nothing else', () => {
    const before = objects();

    start().changes.makeImportKey('HMAC_SHA256');

    const [key, ...others] = [...objects()].filter(([handle]) => !before.has(handle));
    expect(others).toEqual([]);
    const flag = (type: number) => key?.[1].flag(type);
    expect(key?.[1].number(pkcs11js.CKA_CLASS)).toBe(pkcs11js.CKO_PRIVATE_KEY);
    expect(flag(pkcs11js.CKA_TOKEN)).toBe(false);
    expect(flag(pkcs11js.CKA_SENSITIVE)).toBe(true);
    expect(flag(pkcs11js.CKA_EXTRACTABLE)).toBe(false);
    expect(flag(pkcs11js.CKA_UNWRAP)).toBe(true);
    expect(flag(pkcs11js.CKA_DECRYPT)).toBe(false);
    expect(flag(pkcs11js.CKA_SIGN)).toBe(false);
  });

  test('is gone after the import', () => {
    const { changes } = start();
    const before = objects();

    importKey(changes, 'gone-after', 'HMAC_SHA256', randomBytes(32));

    const labels = [...objects()].filter(([handle]) => !before.has(handle));
    expect(labels.map(([, key]) => key.text(pkcs11js.CKA_LABEL))).toEqual(['gone-after']);
  });

  test('is gone when others have taken its place, or its time is over', () => {
    const clock = { nowMs: 0 };
    const keys = new ImportKeys(2, () => clock.nowMs);
    const before = objects();
    const ids = [1, 2, 3].map(() => keys.make(connection.slot, 'HMAC_SHA256').id);
    const [first = '', second = ''] = ids;
    expect(objects().size).toBe(before.size + 2);

    expect(reasonOf(() => keys.get(first)).reason).toBe('IMPORT_KEY_NOT_FOUND');
    expect(keys.get(second)).toBeDefined();
    clock.nowMs = IMPORT_KEY_LIFE_MS;
    expect(reasonOf(() => keys.get(second)).reason).toBe('IMPORT_KEY_NOT_FOUND');

    expect([...objects().keys()]).toEqual([...before.keys()]);
  });
});

describe('what SoftHSM unwraps', () => {
  test('is wrapped with SHA-1 and an AES key', () => {
    const { wrapping } = start().changes.makeImportKey('HMAC_SHA256');

    expect(wrapping).toBe('RSA_OAEP_SHA1_AES_256_KWP');
  });

  test('is wrapped by OAEP alone where it has no AES key wrap', () => {
    const { session, changes } = start({ lacks: AES_KEY_WRAP });
    const secret = randomBytes(40);

    expect(changes.makeImportKey('HMAC_SHA256').wrapping).toBe('RSA_OAEP_SHA1');
    const version = importKey(changes, 'oaep-alone', 'HMAC_SHA256', secret);

    const [mac] = session.sign(version, [DATA]).result;
    expect(mac).toEqual(createHmac('sha256', secret).update(DATA).digest());
  });

  test.each([
    ['of no bytes', 0],
    ['that is too short', 31],
  ])('leaves nothing of a secret %s by OAEP alone', (_, bytes) => {
    const { changes } = start({ lacks: AES_KEY_WRAP });
    const before = objects();

    const failure = reasonOf(() =>
      importKey(changes, 'oaep-short', 'HMAC_SHA256', randomBytes(bytes)),
    );

    expect(failure.reason).toBe('WRAPPED_KEY_INVALID');
    expect(objects().size).toBe(before.size);
  });

  test.each([
    ['CKM_RSA_PKCS_KEY_PAIR_GEN', pkcs11js.CKM_RSA_PKCS_KEY_PAIR_GEN],
    ['CKM_RSA_PKCS_OAEP', pkcs11js.CKM_RSA_PKCS_OAEP],
    ['CKM_SHA256_HMAC', pkcs11js.CKM_SHA256_HMAC],
  ])('is nothing where it lacks %s', (name, type) => {
    const { changes } = start({ lacks: [type] });

    expect(reasonOf(() => changes.makeImportKey('HMAC_SHA256'))).toEqual({
      reason: 'ALGORITHM_UNSUPPORTED',
      message: expect.stringContaining(name),
    });
  });
});

describe('an imported key', () => {
  test('signs by a copy of itself too', () => {
    const secret = randomBytes(64);
    const { session, changes } = start({ warm: true });
    const version = importKey(changes, 'warm', 'HMAC_SHA512', secret);

    const macs = [1, 2, 3].map(() => session.sign(version, [DATA]).result[0]);

    const mac = createHmac('sha512', secret).update(DATA).digest();
    expect(macs).toEqual([mac, mac, mac]);
  });

  test.each(['AES_128_CMAC', 'AES_256_CMAC'] as const)(
    'for %s makes the MACs of the standards, where an adopt rule says what it is for',
    (algorithm) => {
      const { session, changes } = start({ warm: true });
      const secret = Buffer.from(vectors.keys[algorithm], 'hex');
      const data = Buffer.from(vectors.data, 'hex');

      const version = importKey(changes, `${algorithm}.imported`, algorithm, secret);

      const cases = vectors.cases.filter((vector) => vector.algorithm === algorithm);
      const batch = cases.map(({ bytes }) => data.subarray(0, bytes));
      const macs = session.sign(version, batch).result.map((mac) => mac.toString('hex'));
      expect(macs).toEqual(cases.map(({ mac }) => mac));
      expect(session.findKey(version.key)?.versions[0]?.algorithm).toBe(algorithm);
    },
  );

  test.each([
    ['AES_128_CMAC', 'no-rule', 16, 'TOKEN_REFUSED'],
    ['AES_256_CMAC', 'AES_128_CMAC.other-rule', 32, 'TOKEN_REFUSED'],
    ['AES_128_CMAC', 'AES_128_CMAC.long', 32, 'WRAPPED_KEY_INVALID'],
    ['AES_256_CMAC', 'AES_256_CMAC.short', 16, 'WRAPPED_KEY_INVALID'],
    ['AES_128_CMAC', 'AES_128_CMAC.odd', 15, 'WRAPPED_KEY_INVALID'],
    ['AES_256_CMAC', 'AES_256_CMAC.odd', 25, 'WRAPPED_KEY_INVALID'],
  ] as const)('for %s is not made as %s of %i bytes', (algorithm, name, bytes, reason) => {
    const { changes } = start();
    const before = objects();

    const failure = reasonOf(() => importKey(changes, name, algorithm, randomBytes(bytes)));

    expect(failure.reason).toBe(reason);
    expect(objects().size).toBe(before.size);
  });

  test('for AES-CMAC is not made where nothing tells how long it is', () => {
    const { changes } = start({ lacks: AES_KEY_WRAP });
    const before = objects();

    const failure = reasonOf(() =>
      importKey(changes, 'AES_256_CMAC.oaep', 'AES_256_CMAC', randomBytes(32)),
    );

    expect(failure.reason).toBe('TOKEN_REFUSED');
    expect(objects().size).toBe(before.size);
  });
});

describe('a wrapping that is wrong', () => {
  test.each([
    ['one bit of which is flipped', (bytes: Buffer) => bytes.fill((bytes[9] ?? 0) ^ 1, 9, 10)],
    ['that is cut off', (bytes: Buffer) => bytes.subarray(0, -8)],
    ['of noise', (bytes: Buffer) => randomBytes(bytes.byteLength)],
    ['of ones', (bytes: Buffer) => Buffer.alloc(bytes.byteLength, 0xff)],
  ])('%s leaves no object, and the session as it was', (_, change) => {
    const { session, changes } = start();
    const before = objects();
    const offered = changes.makeImportKey('HMAC_SHA256');
    const { importKeyId, bytes } = wrapped(offered, randomBytes(32));
    const id = encodeVersionId({ createTimeMs: Date.now(), version: 1, tag: randomBytes(6) });
    const key = { name: 'wrong', algorithm: 'HMAC_SHA256', id } as const;

    const failure = reasonOf(() =>
      changes.createKey({ ...key, wrapped: { importKeyId, bytes: change(bytes) } }),
    );

    expect(failure.reason).toBe('WRAPPED_KEY_INVALID');
    expect(objects().size).toBe(before.size);
    expect(changes.createKey({ ...key, name: `next-${importKeyId}` }).made).toBe(true);
    expect(session.findKey('wrong')).toBeUndefined();
  });
});
