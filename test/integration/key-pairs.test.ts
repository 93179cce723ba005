import {
  constants,
  createHash,
  createPublicKey,
  type KeyObject,
  randomBytes,
  verify,
} from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  PAIR_ALGORITHM_NAMES,
  PAIR_ALGORITHMS,
  type PairAlgorithm,
} from '../../src/domain/algorithm.ts';
import type { KeyVersion } from '../../src/domain/key.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import { KeyChanges } from '../../src/pkcs11/key-changes.ts';
import type { TokenConnection } from '../../src/pkcs11/token-connection.ts';
import type { TokenSession } from '../../src/pkcs11/token-session.ts';
import { keysOf } from '../support/session-keys.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';
import { connectTo, openTokenSession } from '../support/token-sessions.ts';

const DATA = randomBytes(300);

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
  return openTokenSession(connection, { warmKeys: { maxCopies: 10, recheckMs: 60_000 } });
}

function create(name: string, algorithm: PairAlgorithm, createTimeMs = Date.now()): KeyVersion {
  const id = encodeVersionId({ createTimeMs, version: 1, tag: randomBytes(6) });
  const { key } = new KeyChanges(session).createKey({ name, algorithm, id });
  return key.versions[0] as KeyVersion;
}

function digestOf(algorithm: PairAlgorithm, data: Buffer): Buffer {
  const { hash } = PAIR_ALGORITHMS[algorithm];
  return hash === undefined ? data : createHash(hash).update(data).digest();
}

function publicKeyOf(version: KeyVersion): KeyObject {
  const [key] = session.publicKeys([version]).result;
  return createPublicKey({ key: key as Buffer, format: 'der', type: 'spki' });
}

/** As another program does it. */
function isSignature(version: KeyVersion, signature: Buffer): boolean {
  const { scheme, hash = null } = PAIR_ALGORITHMS[version.algorithm as PairAlgorithm];
  const key = publicKeyOf(version);
  const pss = {
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
  };
  const options = scheme === 'RSA_PSS' ? pss : { dsaEncoding: 'ieee-p1363' as const };
  return verify(hash, DATA, { key, ...options }, signature);
}

function signOne(version: KeyVersion, message: Buffer, digests = false): Buffer {
  return session.sign(version, [message], digests).result[0] as Buffer;
}

function isValid(version: KeyVersion, data: Buffer, mac: Buffer, digests = false): boolean {
  return session.verify([version], [{ data, mac }], digests).result[0] === 0;
}

describe.each(PAIR_ALGORITHM_NAMES)('%s', (algorithm) => {
  let version: KeyVersion;

  beforeAll(() => {
    const making = open();
    session = making;
    version = create(`made-${algorithm}`, algorithm);
    making.close();
  });

  test('stands on the token with all that tells which one it is', () => {
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

  test('signs data as anybody can verify who has the public key', () => {
    const signature = signOne(version, DATA);

    expect(signature.byteLength).toBe(PAIR_ALGORITHMS[algorithm].signatureBytes);
    expect(isSignature(version, signature)).toBe(true);
    expect(isValid(version, DATA, signature)).toBe(true);
  });

  test('signs the digest of data as it signs the data', () => {
    const digest = digestOf(algorithm, DATA);

    const signature = signOne(version, digest, true);

    expect(isSignature(version, signature)).toBe(true);
    expect(isValid(version, DATA, signature)).toBe(true);
    expect(isValid(version, digest, signature, true)).toBe(true);
  });

  test('finds every wrong signature, whether by data or by digest', () => {
    const signature = signOne(version, DATA);
    const other = signOne(version, Buffer.from('other data'));
    const flipped = Buffer.from(signature);
    flipped[flipped.length >> 1] = (flipped[flipped.length >> 1] ?? 0) ^ 1;
    const { byteLength } = signature;
    const wrong = [
      ...[other, flipped, Buffer.alloc(byteLength), Buffer.alloc(byteLength, 0xff)],
      ...[signature.subarray(1), Buffer.concat([signature, signature]), Buffer.alloc(0)],
    ];
    const digest = digestOf(algorithm, DATA);

    expect(wrong.map((mac) => isValid(version, DATA, mac))).toEqual(wrong.map(() => false));
    expect(wrong.map((mac) => isValid(version, digest, mac, true))).toEqual(wrong.map(() => false));
  });
});
