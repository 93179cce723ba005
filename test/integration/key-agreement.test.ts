import { createPublicKey, diffieHellman, randomBytes } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AGREEMENT_ALGORITHM_NAMES, type AgreementAlgorithm } from '../../src/domain/algorithm.ts';
import { SigildError } from '../../src/domain/errors.ts';
import type { KeyVersion } from '../../src/domain/key.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import { AgreedMacs } from '../../src/pkcs11/agreed-macs.ts';
import { findObjects } from '../../src/pkcs11/attributes.ts';
import { KeyChanges } from '../../src/pkcs11/key-changes.ts';
import type { TokenConnection } from '../../src/pkcs11/token-connection.ts';
import type { TokenSession } from '../../src/pkcs11/token-session.ts';
import { peerMac, testPeer } from '../support/fake-agreement.ts';
import { keysOf } from '../support/session-keys.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { connectTo, openTokenSession } from '../support/token-sessions.ts';

const DATA = randomBytes(300);
const P256 = 'EC_AGREE_P256_HMAC_SHA256';

let softHsm: SoftHsm;
let connection: TokenConnection;
let session: TokenSession;

beforeAll(() => {
  softHsm = createSoftHsm();
  connection = connectTo(softHsm);
});

beforeEach(() => {
  session = open();
});

afterEach(() => session.close());

afterAll(() => {
  connection?.close();
  softHsm?.remove();
});

/** A session that knows nothing yet. */
function open(): TokenSession {
  return openTokenSession(connection);
}

let made = 0;

function create(algorithm: AgreementAlgorithm): KeyVersion {
  made += 1;
  const id = encodeVersionId({ createTimeMs: Date.now(), version: 1, tag: randomBytes(6) });
  const { key } = new KeyChanges(session).createKey({ name: `agree-${made}`, algorithm, id });
  return key.versions[0] as KeyVersion;
}

function spkiOf(version: KeyVersion): Buffer {
  return session.publicKeys([version]).result[0] as Buffer;
}

function sign(version: KeyVersion, peer: Buffer, data = DATA): Buffer {
  return new AgreedMacs(session).sign(version, peer, [data]).result[0] as Buffer;
}

function isValid(version: KeyVersion, peer: Buffer, mac: Buffer, data = DATA): boolean {
  return new AgreedMacs(session).verify([version], peer, [{ data, mac }]).result[0] === 0;
}

function reasonOf(work: () => unknown): string {
  try {
    work();
    return 'done';
  } catch (error) {
    if (error instanceof SigildError) return error.reason;
    throw error;
  }
}

/** The objects of all sessions of this process. */
function sessionObjects(): number {
  return session.repeatable(
    'counting',
    (open) => findObjects(open, new Map([[pkcs11js.CKA_TOKEN, false]])).length,
  );
}

describe.each(AGREEMENT_ALGORITHM_NAMES)('%s', (algorithm) => {
  test('stands on the token with all that tells which one it is', () => {
    const version = create(algorithm);

    expect(session.findKey(version.key)?.versions).toEqual([version]);
    expect(keysOf(session)).toContainEqual(
      expect.objectContaining({ name: version.key, versions: [version] }),
    );
    expect(version).toMatchObject({
      algorithm,
      state: 'ACTIVE',
      attributes: {
        sensitive: true,
        extractable: false,
        alwaysSensitive: true,
        neverExtractable: true,
        local: true,
      },
    });
  });

  test('makes the MACs that the peer makes, and accepts those of the peer', () => {
    const version = create(algorithm);
    const peer = testPeer(algorithm);
    const expected = peerMac(algorithm, peer, spkiOf(version), DATA);

    expect(sign(version, peer.point)).toEqual(expected);
    expect(isValid(version, peer.point, expected)).toBe(true);
    expect(sign(version, peer.point, Buffer.alloc(0))).toEqual(
      peerMac(algorithm, peer, spkiOf(version), Buffer.alloc(0)),
    );
  });

  test('keeps the zeros in front of a secret', () => {
    const version = create(algorithm);
    const own = spkiOf(version);
    const peer = peerWithZeroInFront(algorithm, own);

    expect(sign(version, peer.point)).toEqual(peerMac(algorithm, peer, own, DATA));
  });
});

test('finds every wrong MAC', () => {
  const version = create(P256);
  const [peer, other] = [testPeer(P256), testPeer(P256)];
  const mac = sign(version, peer.point);
  const flipped = Buffer.from(mac).fill((mac[0] ?? 0) ^ 1, 0, 1);
  const wrong = [
    ...[flipped, Buffer.alloc(32), mac.subarray(1), Buffer.concat([mac, mac]), Buffer.alloc(0)],
    sign(version, other.point),
  ];

  expect(wrong.map((bad) => isValid(version, peer.point, bad))).toEqual(wrong.map(() => false));
  expect(isValid(version, other.point, mac)).toBe(false);
});

test('tells which of several versions it was, each with a key of its own', () => {
  const versions = [create(P256), create(P256)];
  const peer = testPeer(P256);
  const macs = versions.map((version) => sign(version, peer.point));
  const batch = [...macs, Buffer.alloc(32)].map((mac) => ({ data: DATA, mac }));

  expect(new AgreedMacs(session).verify(versions, peer.point, batch).result).toEqual([0, 1, -1]);
});

describe('a state', () => {
  test('is enforced, whichever came before', () => {
    const version = create(P256);
    const peer = testPeer(P256);
    const mac = sign(version, peer.point);
    const outcomes = (['DEACTIVATED', 'SUSPENDED', 'ACTIVE'] as const).map((state) => {
      new KeyChanges(session).setVersionState(version, state);
      return [
        session.findKey(version.key)?.versions[0]?.state,
        reasonOf(() => sign(version, peer.point)),
        reasonOf(() => isValid(version, peer.point, mac)),
      ];
    });

    expect(outcomes).toEqual([
      ['DEACTIVATED', 'KEY_STATE_FORBIDS', 'done'],
      ['SUSPENDED', 'KEY_STATE_FORBIDS', 'KEY_STATE_FORBIDS'],
      ['ACTIVE', 'done', 'done'],
    ]);
    expect(isValid(version, peer.point, mac)).toBe(true);
  });

  test('drops what was agreed upon before', () => {
    const version = create(P256);
    sign(version, testPeer(P256).point);
    sign(version, testPeer(P256).point);
    expect(sessionObjects()).toBe(2);

    new KeyChanges(session).setVersionState(version, 'SUSPENDED');

    expect(sessionObjects()).toBe(0);
  });

  test('that another session changes is noticed', async () => {
    const version = create(P256);
    const peer = testPeer(P256);
    sign(version, peer.point);
    const other = open();

    new KeyChanges(other).setVersionState(version, 'DEACTIVATED');
    other.close();

    await expect
      .poll(() => reasonOf(() => sign(version, peer.point)), { timeout: 20_000 })
      .toBe('KEY_STATE_FORBIDS');
  });
});

test('its private key signs nothing itself', () => {
  const version = create(P256);

  const outcome = session.repeatable('trying', (open, objects) => {
    const [object] = objects.named(open, version.key);
    const mechanism = { mechanism: pkcs11js.CKM_ECDSA };
    try {
      open.lib.C_SignInit(open.handle, mechanism, object?.handle as Buffer);
      return 'done';
    } catch (error) {
      return String(error);
    }
  });

  expect(outcome).toContain('CKR_MECHANISM_INVALID');
});

test('keeps a bounded number of agreed keys in a session, and none after it', () => {
  const version = create(P256);

  for (let peers = 0; peers < 40; peers += 1) sign(version, testPeer(P256).point);

  expect(sessionObjects()).toBe(16);
  session.close();
  expect(sessionObjects()).toBe(0);
});

test('a key is no peer of its own, and the session goes on', () => {
  const version = create(P256);
  const own = spkiOf(version).subarray(-65);

  expect(reasonOf(() => sign(version, own))).toBe('FIELD_INVALID');

  expect(sessionObjects()).toBe(0);
  expect(reasonOf(() => sign(version, testPeer(P256).point))).toBe('done');
});

test('a private key whose public one is another one is refused', () => {
  const [one, other] = [create(P256), create(P256)];
  const swapped = session.repeatable('swapping', (open, objects) => {
    const halves = [one, other].map(({ key }) => objects.named(open, key)[0]?.publicHalf?.handle);
    const [first, second] = halves as [Buffer, Buffer];
    open.lib.C_DestroyObject(open.handle, first);
    open.lib.C_SetAttributeValue(open.handle, second, [
      { type: pkcs11js.CKA_LABEL, value: one.key },
      { type: pkcs11js.CKA_ID, value: Buffer.from(one.id, 'hex') },
    ]);
    return objects.named(open, one.key).map(({ version }) => version);
  });
  session.close();

  expect(swapped).toMatchObject([{ id: one.id }]);
  expect(reasonOf(() => sign(one, testPeer(P256).point))).toBe('TOKEN_REFUSED');
  expect(sessionObjects()).toBe(0);
});

/** One with whom the secret begins with a byte of 0, as one of 256 does. */
function peerWithZeroInFront(algorithm: AgreementAlgorithm, spki: Buffer) {
  const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  for (;;) {
    const peer = testPeer(algorithm);
    if (diffieHellman({ privateKey: peer.privateKey, publicKey })[0] === 0) return peer;
  }
}
