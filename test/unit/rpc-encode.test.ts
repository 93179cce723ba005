import { describe, expect, test } from 'vitest';
import type { Key, KeyVersion } from '../../src/domain/key.ts';
import { DEFAULT_SETTINGS } from '../../src/domain/key-record.ts';
import {
  encodeKey,
  encodePage,
  encodeSignature,
  encodeSignatures,
  encodeTokenInfo,
  encodeVerification,
  encodeVerifications,
} from '../../src/rpc/encode.ts';
import { v1 } from '../../src/rpc/proto.ts';
import { keyOf, versionRecord } from '../support/key-version.ts';

const proven = {
  sensitive: true,
  extractable: false,
  alwaysSensitive: true,
  neverExtractable: true,
  local: true,
};

function version(number: number, changes: Partial<KeyVersion> = {}): KeyVersion {
  return {
    key: 'shop',
    version: number,
    id: String(number).repeat(32),
    algorithm: 'HMAC_SHA256',
    state: 'ACTIVE',
    createTimeMs: 1_700_000_000_123,
    attributes: proven,
    ...changes,
  };
}

const key: Key = {
  name: 'shop',
  versions: [version(3, { state: 'SUSPENDED', algorithm: 'HMAC_SHA512' }), version(2), version(1)],
  settings: DEFAULT_SETTINGS,
};

/** What a client reads: every field must have survived, none but the empty ones may be absent. */
describe('over the wire', () => {
  test('a signature keeps every field', () => {
    const signature = Buffer.from('signature');

    const signed = { signatures: [signature], version: version(2) };
    const bytes = v1.SignResponse.serialize(encodeSignature(signed));

    expect(v1.SignResponse.deserialize(bytes)).toEqual({
      signature,
      version: 2,
      versionId: '2'.repeat(32),
      algorithm: 'HMAC_SHA256',
    });
  });

  test("a batch's signatures keep every field and their order", () => {
    const signatures = ['first', 'second', 'third'].map((text) => Buffer.from(text));

    const signed = { signatures, version: version(2) };
    const bytes = v1.BatchSignResponse.serialize(encodeSignatures(signed));

    expect(v1.BatchSignResponse.deserialize(bytes)).toEqual({
      signatures,
      version: 2,
      versionId: '2'.repeat(32),
      algorithm: 'HMAC_SHA256',
    });
  });

  test("a batch's verifications name a version for each item, or 0", () => {
    const versions = [version(2), undefined, version(1)];

    const bytes = v1.BatchVerifyResponse.serialize(encodeVerifications(versions));

    expect(v1.BatchVerifyResponse.deserialize(bytes)).toEqual({ versions: [2, 0, 1] });
  });

  test('a token keeps every field, and what is not known of it stays absent', () => {
    const facts = {
      ...{ label: 'prod', serial: '0123', manufacturer: 'maker', model: 'HSM' },
      ...{ hardwareVersion: '1.0', firmwareVersion: '2.6' },
    };

    const bytes = v1.TokenInfo.serialize(
      encodeTokenInfo({
        ...facts,
        algorithms: [
          { algorithm: 'HMAC_SHA256', lacks: undefined },
          { algorithm: 'AES_256_CMAC', lacks: 'CKM_AES_CMAC' },
        ],
        attributes: [
          { attribute: 'CKA_SIGN', enforced: true, found: 'refused' },
          { attribute: 'CKA_COPYABLE', enforced: false, found: 'copied' },
          { attribute: 'CKA_EXTRACTABLE', enforced: undefined, found: 'not tried' },
        ],
        hosts: [{ sessions: 4, warmth: { warm: true, why: 'faster' } }],
        records: { kept: undefined, found: 'not tried' },
      }),
    );

    expect(v1.TokenInfo.deserialize(bytes)).toEqual({
      ...facts,
      algorithms: [
        { algorithm: 'HMAC_SHA256', supported: true, missingMechanism: '' },
        { algorithm: 'AES_256_CMAC', supported: false, missingMechanism: 'CKM_AES_CMAC' },
      ],
      attributes: [
        { attribute: 'CKA_SIGN', enforced: true, found: 'refused' },
        { attribute: 'CKA_COPYABLE', enforced: false, found: 'copied' },
        { attribute: 'CKA_EXTRACTABLE', found: 'not tried' },
      ],
      hosts: [{ sessions: 4, warmKeys: true, warmKeysReason: 'faster' }],
      records: { found: 'not tried' },
    });
  });

  test('a valid verification names the version', () => {
    const bytes = v1.VerifyResponse.serialize(encodeVerification(version(2)));

    expect(v1.VerifyResponse.deserialize(bytes)).toEqual({
      valid: true,
      version: 2,
      versionId: '2'.repeat(32),
    });
  });

  test('a verification that is not valid names none', () => {
    const bytes = v1.VerifyResponse.serialize(encodeVerification(undefined));

    expect(v1.VerifyResponse.deserialize(bytes)).toEqual({ valid: false });
  });

  test('a key keeps every field of every version', () => {
    const bytes = v1.Key.serialize(encodeKey(key, key.versions));

    const wireVersion = (number: number) => ({
      id: String(number).repeat(32),
      version: number,
      state: 'ACTIVE',
      algorithm: 'HMAC_SHA256',
      createTime: { seconds: 1_700_000_000, nanos: 123_000_000 },
      attributes: proven,
      origin: 'GENERATED',
    });
    expect(v1.Key.deserialize(bytes)).toEqual({
      name: 'shop',
      algorithm: 'HMAC_SHA512',
      primaryVersion: 2,
      versions: [
        { ...wireVersion(3), state: 'SUSPENDED', algorithm: 'HMAC_SHA512' },
        wireVersion(2),
        wireVersion(1),
      ],
      destroyable: true,
    });
  });

  test('a key tells its settings, and when it is rotated next', () => {
    const settings = { rotationPeriodMs: 86_400_500, destroyable: false };

    const bytes = v1.Key.serialize(encodeKey({ ...key, settings }, key.versions));

    expect(v1.Key.deserialize(bytes)).toMatchObject({
      rotationPeriod: { seconds: 86_400, nanos: 500_000_000 },
      nextRotationTime: { seconds: 1_700_086_400, nanos: 623_000_000 },
      destroyable: false,
    });
  });

  test.each([
    ['DESTROY_SCHEDULED', { seconds: 1_800_000_000, nanos: 500_000_000 }],
    ['DESTROYED', { seconds: 1_800_000_000, nanos: 500_000_000 }],
    ['SUSPENDED', undefined],
  ] as const)('a version that is %s has the time of its end: %j', (state, destroyTime) => {
    const destruction = versionRecord({ destroyTimeMs: 1_800_000_000_500 });
    const recorded = version(1, { state, destruction });

    const bytes = v1.Key.serialize(encodeKey(keyOf(recorded), [recorded]));

    const [wire] = v1.Key.deserialize(bytes).versions;
    expect(wire?.state).toBe(state);
    expect(wire?.destroyTime).toEqual(destroyTime);
  });

  test('an attribute that the token does not report stays absent', () => {
    const attributes = { ...proven, sensitive: undefined, local: undefined };
    const adopted = version(1, { createTimeMs: undefined, attributes });

    const bytes = v1.Key.serialize(encodeKey({ ...key, versions: [adopted] }, [adopted]));

    const [wire] = v1.Key.deserialize(bytes).versions;
    expect(wire).not.toHaveProperty('createTime');
    expect(wire?.attributes).toEqual({
      extractable: false,
      alwaysSensitive: true,
      neverExtractable: true,
    });
  });

  test.each([
    [true, 'GENERATED'],
    [false, 'IMPORTED'],
    [undefined, undefined],
  ])('a version whose CKA_LOCAL is %s has the origin %s', (local, origin) => {
    const made = version(1, { attributes: { ...proven, local } });

    const bytes = v1.Key.serialize(encodeKey(keyOf(made), [made]));

    expect(v1.Key.deserialize(bytes).versions[0]?.origin).toBe(origin);
  });

  test('one version of a key stands with the fields of the whole key', () => {
    const bytes = v1.Key.serialize(encodeKey(key, [version(1)]));

    const wire = v1.Key.deserialize(bytes);
    expect(wire).toMatchObject({ algorithm: 'HMAC_SHA512', primaryVersion: 2 });
    expect(wire.versions.map(({ version: number }) => number)).toEqual([1]);
  });

  test('a key without an ACTIVE version has the primary version 0', () => {
    const suspended: Key = { ...key, versions: [version(1, { state: 'SUSPENDED' })] };

    const bytes = v1.Key.serialize(encodeKey(suspended, suspended.versions));

    expect(v1.Key.deserialize(bytes).primaryVersion).toBe(0);
  });

  test('a page keeps its keys and its token', () => {
    const bytes = v1.ListKeysResponse.serialize(encodePage({ keys: [key], nextAfter: 'shop' }));

    const page = v1.ListKeysResponse.deserialize(bytes);
    expect(page.keys.map(({ name }) => name)).toEqual(['shop']);
    expect(page.nextPageToken).toBe(Buffer.from('shop').toString('base64url'));
  });

  test('the last page has an empty token', () => {
    const bytes = v1.ListKeysResponse.serialize(encodePage({ keys: [], nextAfter: undefined }));

    expect(v1.ListKeysResponse.deserialize(bytes)).toEqual({ keys: [], nextPageToken: '' });
  });
});
