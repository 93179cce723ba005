import { generateKeyPairSync, randomBytes } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import type { KeyVersion, VersionRef } from '../../src/domain/key.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import { AttributeReader, findObjects, type Handle } from '../../src/pkcs11/attributes.ts';
import { KeyChanges } from '../../src/pkcs11/key-changes.ts';
import { KeyLocations } from '../../src/pkcs11/key-locations.ts';
import { openSession, type Session } from '../../src/pkcs11/session.ts';
import type { TokenConnection } from '../../src/pkcs11/token-connection.ts';
import { TokenSession } from '../../src/pkcs11/token-session.ts';
import { keysOf } from '../support/session-keys.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { connectTo } from '../support/token-sessions.ts';

const ALGORITHM = 'EC_SIGN_P256_SHA256';
/** As pkcs11-tool names the types. */
const TOOL_PAIRS = [
  ['rsa:2048', 'RSA_SIGN_PSS_2048_SHA256'],
  ['EC:secp384r1', 'EC_SIGN_P384_SHA384'],
  ['EC:edwards25519', 'EC_SIGN_ED25519'],
] as const;
const DATA = Buffer.from('data');
const HOUR_MS = 3_600_000;
const { CKO_PRIVATE_KEY, CKO_PUBLIC_KEY } = pkcs11js;

let softHsm: SoftHsm;
let connection: TokenConnection;
let session: TokenSession;
/** Another program's. */
let other: Session;

beforeAll(() => {
  softHsm = createSoftHsm();
  softHsm.importPair('adopted-p256', pemOf('P-256'));
  softHsm.importPair('adopted-p384', pemOf('P-384'));
  softHsm.importPair('unruled', pemOf('P-256'));
  for (const [type, algorithm] of TOOL_PAIRS) {
    softHsm.pkcs11Tool(
      ...['--keypairgen', '--key-type', type, '--usage-sign'],
      ...['--label', `tool-${algorithm}`, '--id', '0102'],
    );
  }
  connection = connectTo(softHsm);
  other = openSession(connection.slot);
});

beforeEach(() => {
  session = open();
});

afterEach(() => session.close());

afterAll(() => {
  connection?.close();
  softHsm?.remove();
});

function pemOf(namedCurve: string): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve });
  return privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}

/** A session that knows nothing yet. */
function open(): TokenSession {
  return new TokenSession({
    slot: connection.slot,
    adopt: [
      ...TOOL_PAIRS.map(([, algorithm]) => ({ label: `tool-${algorithm}`, algorithm })),
      { label: 'adopted-*', algorithm: ALGORITHM },
    ],
    canaryMac: connection.canaryMac,
    locations: new KeyLocations(),
    warmKeys: undefined,
  });
}

function create(name: string, createTimeMs = Date.now()): KeyVersion {
  const id = encodeVersionId({ createTimeMs, version: 1, tag: randomBytes(6) });
  const { key } = new KeyChanges(session).createKey({ name, algorithm: ALGORITHM, id });
  return key.versions[0] as KeyVersion;
}

function grow(name: string, version: number): void {
  const id = encodeVersionId({ createTimeMs: Date.now(), version, tag: randomBytes(6) });
  new KeyChanges(session).createVersion({ name, algorithm: ALGORITHM, id });
}

interface FoundObject {
  readonly handle: Handle;
  readonly class: number | undefined;
  readonly id: string | undefined;
}

function objectsNamed(name: string): FoundObject[] {
  return findObjects(other, new Map([[pkcs11js.CKA_LABEL, name]])).map((handle) => {
    const types = [pkcs11js.CKA_CLASS, pkcs11js.CKA_ID];
    const attributes = new AttributeReader().read(other, handle, types);
    return {
      handle,
      class: attributes.number(pkcs11js.CKA_CLASS),
      id: attributes.bytes(pkcs11js.CKA_ID)?.toString('hex'),
    };
  });
}

function half(name: string, objectClass: number): Handle {
  const found = objectsNamed(name).find((object) => object.class === objectClass);
  if (!found) throw new Error(`key ${name} has no such half`);
  return found.handle;
}

function destroyHalf(name: string, objectClass: number): void {
  other.lib.C_DestroyObject(other.handle, half(name, objectClass));
}

function set(handle: Handle, type: number, value: boolean | string | Buffer): void {
  other.lib.C_SetAttributeValue(other.handle, handle, [{ type, value }]);
}

function flagsOf(name: string): (boolean | undefined)[] {
  const read = (objectClass: number, type: number) =>
    new AttributeReader().read(other, half(name, objectClass), [type]).flag(type);
  return [read(CKO_PRIVATE_KEY, pkcs11js.CKA_SIGN), read(CKO_PUBLIC_KEY, pkcs11js.CKA_VERIFY)];
}

function sign(version: VersionRef): Buffer {
  return session.sign(version, [DATA]).result[0] as Buffer;
}

function isValid(version: VersionRef, mac: Buffer): boolean {
  return session.verify([version], [{ data: DATA, mac }]).result[0] === 0;
}

function reasonOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof SigildError) return error.reason;
    throw error;
  }
  return 'done';
}

describe('a pair on the token', () => {
  test('is two objects with one name and one id, and the token itself allows one mechanism', () => {
    const { id } = create('two');

    expect(objectsNamed('two').map((object) => [object.class, object.id])).toEqual(
      expect.arrayContaining([
        [CKO_PRIVATE_KEY, id],
        [CKO_PUBLIC_KEY, id],
      ]),
    );
    const { lib, handle } = other;
    const mechanism = { mechanism: pkcs11js.CKM_ECDSA_SHA256 };
    expect(() => lib.C_SignInit(handle, mechanism, half('two', CKO_PRIVATE_KEY))).toThrow();
  });

  test.each([
    ['ACTIVE', [true, true]],
    ['DEACTIVATED', [false, true]],
    ['SUSPENDED', [false, false]],
  ] as const)('that is %s has both halves say so', (state, flags) => {
    const name = `state-${state}`;
    const version = create(name);

    new KeyChanges(session).setVersionState(version, state);

    expect(flagsOf(name)).toEqual(flags);
    expect(session.findKey(name)?.versions).toEqual([{ ...version, state }]);
  });

  test('is finished by the same call when a change of its state ended between its halves', () => {
    const version = create('between');
    set(half('between', CKO_PRIVATE_KEY), pkcs11js.CKA_SIGN, false);

    new KeyChanges(session).setVersionState(version, 'SUSPENDED');

    expect(flagsOf('between')).toEqual([false, false]);
  });

  test('leaves nothing behind when it is destroyed', () => {
    const version = create('destroyed');

    new KeyChanges(session).destroyVersion(version);

    expect(objectsNamed('destroyed')).toEqual([]);
    expect(session.findKey('destroyed')).toBeUndefined();
  });
});

describe('a pair without its private half', () => {
  test('is not served', () => {
    const version = create('no-private');
    const mac = sign(version);
    destroyHalf('no-private', CKO_PRIVATE_KEY);

    expect(session.findKey('no-private')).toBeUndefined();
    expect(keysOf(session).map(({ name }) => name)).not.toContain('no-private');
    expect(reasonOf(() => sign(version))).toBe('KEY_NOT_FOUND');
    session = open();
    expect(reasonOf(() => isValid(version, mac))).toBe('KEY_NOT_FOUND');
  });

  test('takes no name, and goes when a version of that name is made after a while', () => {
    const old = create('orphan', Date.now() - HOUR_MS);
    destroyHalf('orphan', CKO_PRIVATE_KEY);

    const { id } = create('orphan');

    expect(objectsNamed('orphan').map((object) => object.id)).toEqual([id, id]);
    expect(id).not.toBe(old.id);
  });

  test('stays while another daemon may be making it', () => {
    const young = create('young');
    destroyHalf('young', CKO_PRIVATE_KEY);

    create('young');
    grow('young', 2);

    expect(objectsNamed('young').map(({ id }) => id)).toContain(young.id);
    expect(session.findKey('young')?.versions.map(({ version }) => version)).toEqual([2, 1]);
  });

  test('is what is left to destroy when a destruction ended between its halves', () => {
    const version = create('half-destroyed');
    destroyHalf('half-destroyed', CKO_PRIVATE_KEY);

    new KeyChanges(session).destroyVersion(version);

    expect(objectsNamed('half-destroyed')).toEqual([]);
  });
});

describe('a pair without its public half', () => {
  test('is not served, and keeps its name', () => {
    const version = create('no-public');
    destroyHalf('no-public', CKO_PUBLIC_KEY);
    session = open();

    expect(session.findKey('no-public')).toBeUndefined();
    expect(reasonOf(() => sign(version))).toBe('KEY_NOT_FOUND');
    expect(reasonOf(() => create('no-public'))).toBe('KEY_ALREADY_EXISTS');
    expect(objectsNamed('no-public')).toHaveLength(1);
  });
});

describe('halves that do not belong together', () => {
  test('sign nothing', () => {
    const version = create('mixed');
    const stranger = create('stranger');
    destroyHalf('mixed', CKO_PUBLIC_KEY);
    const moved = half('stranger', CKO_PUBLIC_KEY);
    set(moved, pkcs11js.CKA_LABEL, 'mixed');
    set(moved, pkcs11js.CKA_ID, Buffer.from(version.id, 'hex'));
    session = open();

    expect(reasonOf(() => sign(version))).toBe('TOKEN_REFUSED');
    expect(reasonOf(() => sign(version))).toBe('TOKEN_REFUSED');
    expect(reasonOf(() => session.publicKeys([version]))).toBe('TOKEN_REFUSED');
    expect(reasonOf(() => sign(stranger))).toBe('KEY_NOT_FOUND');
  });
});

describe('a change behind the back of a session', () => {
  test('takes effect on signatures at once', () => {
    const version = create('no-sign');
    sign(version);
    set(half('no-sign', CKO_PRIVATE_KEY), pkcs11js.CKA_SIGN, false);

    expect(reasonOf(() => sign(version))).toBe('KEY_STATE_FORBIDS');
  });

  test('takes effect on verifications soon', async () => {
    const version = create('no-verify');
    const mac = sign(version);
    expect(isValid(version, mac)).toBe(true);

    set(half('no-verify', CKO_PUBLIC_KEY), pkcs11js.CKA_VERIFY, false);

    await expect
      .poll(() => reasonOf(() => isValid(version, mac)), { timeout: 20_000 })
      .toBe('KEY_STATE_FORBIDS');
  });
});

test('a public key of another kind hides no pair', () => {
  const number = (type: number) => ({ type, value: Buffer.alloc(32, 1) });
  other.lib.C_CreateObject(other.handle, [
    { type: pkcs11js.CKA_CLASS, value: CKO_PUBLIC_KEY },
    { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_DSA },
    { type: pkcs11js.CKA_TOKEN, value: true },
    { type: pkcs11js.CKA_LABEL, value: 'dsa' },
    ...['CKA_PRIME', 'CKA_SUBPRIME', 'CKA_BASE', 'CKA_VALUE'].map((type) =>
      number(pkcs11js[type as 'CKA_PRIME']),
    ),
  ]);

  expect(session.findKey('dsa')).toBeUndefined();
  expect(session.findKey('adopted-p256')?.versions).toHaveLength(1);
  expect(keysOf(session).map(({ name }) => name)).toContain('adopted-p256');
});

describe('a pair of another tool', () => {
  test('is served where a rule gives it an algorithm of its curve', () => {
    const [version] = session.findKey('adopted-p256')?.versions ?? [];

    expect(version).toMatchObject({ version: 1, algorithm: ALGORITHM, createTimeMs: undefined });
    expect(isValid(version as KeyVersion, sign(version as KeyVersion))).toBe(true);
  });

  test.each(TOOL_PAIRS)('of pkcs11-tool’s type %s signs and verifies with %s', (_, algorithm) => {
    const [version] = session.findKey(`tool-${algorithm}`)?.versions ?? [];

    expect(version).toMatchObject({ algorithm, state: 'ACTIVE', attributes: { local: true } });
    expect(isValid(version as KeyVersion, sign(version as KeyVersion))).toBe(true);
  });

  test.each(['adopted-p384', 'unruled'])('is not served as %s', (name) => {
    expect(session.findKey(name)).toBeUndefined();
    expect(reasonOf(() => create(name))).toBe('KEY_ALREADY_EXISTS');
  });
});
