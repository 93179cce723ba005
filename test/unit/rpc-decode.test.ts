import { describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import {
  decodeCreateKeyRequest,
  decodeGetKeyRequest,
  decodeListKeysRequest,
  decodeRestoreRequest,
  decodeRotateKeyRequest,
  decodeScheduleDestroyRequest,
  decodeUpdateKeyRequest,
  decodeUpdateKeyVersionRequest,
  encodePageToken,
} from '../../src/rpc/decode-keys.ts';
import {
  decodeBatchSignRequest,
  decodeBatchVerifyRequest,
  decodeSignRequest,
  decodeVerifyRequest,
} from '../../src/rpc/decode-signing.ts';
import { v1 } from '../../src/rpc/proto.ts';

const data = Buffer.from('data');

/** What a call throws: its reason and the fields that it names. */
function failureOf(call: () => unknown): { reason: string; fields: string[] } {
  try {
    call();
  } catch (error) {
    if (!(error instanceof SigildError)) throw error;
    return { reason: error.reason, fields: error.violations.map(({ field }) => field) };
  }
  throw new Error('it did not fail');
}

/** What the wire makes of a request, however wrong its fields are named or typed. */
function overTheWire<Output>(
  message: { serialize(request: never): Buffer; deserialize(bytes: Buffer): Output },
  request: object,
): Output {
  return message.deserialize(message.serialize(request as never));
}

describe('a request to sign', () => {
  test('becomes a batch of one whose absent version stays absent', () => {
    const item = decodeSignRequest(overTheWire(v1.SignRequest, { key: 'shop', data }));

    expect(item).toEqual({ key: 'shop', version: undefined, batch: [data] });
  });

  test('may carry no bytes, which is not the same as no data', () => {
    const request = overTheWire(v1.SignRequest, { key: 'shop', data: Buffer.alloc(0) });

    expect(decodeSignRequest(request).batch).toEqual([Buffer.alloc(0)]);
  });

  test.each([
    ['absent data', {}],
    ['a misspelt field', { dta: data }],
    ['null', { data: null }],
  ])('is refused with %s', (_, fields) => {
    const request = overTheWire(v1.SignRequest, { key: 'shop', ...fields });

    const failure = failureOf(() => decodeSignRequest(request));

    expect(failure).toEqual({ reason: 'DATA_MISSING', fields: ['data'] });
  });

  test.each([[undefined], [''], ['-shop'], ['a/b'], ['shop '], ['ü'], ['a'.repeat(64)]])(
    'is refused with the key name %j',
    (key) => {
      const failure = failureOf(() =>
        decodeSignRequest({ ...(key !== undefined && { key }), data }),
      );

      expect(failure).toEqual({ reason: 'FIELD_INVALID', fields: ['key'] });
    },
  );

  test.each([0, 0x10_0000, 0xffff_ffff])('is refused with version %i', (version) => {
    const failure = failureOf(() => decodeSignRequest({ key: 'shop', version, data }));

    expect(failure).toEqual({ reason: 'FIELD_INVALID', fields: ['version'] });
  });

  test.each([1, 0xf_ffff])('may name version %i', (version) => {
    expect(decodeSignRequest({ key: 'shop', version, data }).version).toBe(version);
  });
});

describe('a request to verify', () => {
  test('may carry an empty signature, which is just not valid', () => {
    const request = overTheWire(v1.VerifyRequest, {
      key: 'shop',
      data,
      signature: Buffer.alloc(0),
    });

    expect(decodeVerifyRequest(request).batch).toEqual([{ data, mac: Buffer.alloc(0) }]);
  });

  test('is refused without a signature', () => {
    const failure = failureOf(() => decodeVerifyRequest({ key: 'shop', data }));

    expect(failure).toEqual({ reason: 'SIGNATURE_MISSING', fields: ['signature'] });
  });

  test('is refused without data', () => {
    const failure = failureOf(() => decodeVerifyRequest({ key: 'shop', signature: data }));

    expect(failure.reason).toBe('DATA_MISSING');
  });
});

describe('a message that is given by its digest', () => {
  const digest = Buffer.alloc(32, 1);

  test('arrives as such, to sign and to verify', () => {
    const sign = overTheWire(v1.SignRequest, { key: 'shop', digest, signatureFormat: 'RAW' });
    const verify = overTheWire(v1.VerifyRequest, { key: 'shop', digest, signature: data });

    expect(decodeSignRequest(sign)).toEqual({
      ...{ key: 'shop', version: undefined, batch: [digest] },
      ...{ digests: true, format: 'RAW' },
    });
    expect(decodeVerifyRequest(verify)).toEqual({
      ...{ key: 'shop', version: undefined, batch: [{ data: digest, mac: data }] },
      digests: true,
    });
  });

  test('is refused beside the message', () => {
    const both = { key: 'shop', data, digest, signature: data };
    const expected = { reason: 'FIELD_INVALID', fields: ['digest'] };

    expect(failureOf(() => decodeSignRequest(both))).toEqual(expected);
    expect(failureOf(() => decodeVerifyRequest(both))).toEqual(expected);
  });
});

describe('the format of a signature', () => {
  test.each([
    [undefined, undefined],
    ['SIGNATURE_FORMAT_UNSPECIFIED', undefined],
    ['DER', 'DER'],
    ['RAW', 'RAW'],
  ] as const)('%s is %s', (signatureFormat, format) => {
    const request = { key: 'shop', data, ...(signatureFormat && { signatureFormat }) };

    expect(decodeSignRequest(request).format).toBe(format);
  });

  test('is refused when the API does not know it', () => {
    const request = { key: 'shop', data, signatureFormat: 9 as never };

    expect(failureOf(() => decodeSignRequest(request))).toEqual({
      reason: 'FIELD_INVALID',
      fields: ['signature_format'],
    });
  });
});

const MAX_ITEMS = 1_024;
const MAX_BYTES = 4 * 1_024 * 1_024;

describe('a batch to sign', () => {
  test('keeps its items in order, empty ones too', () => {
    const items = [data, Buffer.alloc(0), Buffer.from('more')];

    const request = overTheWire(v1.BatchSignRequest, { key: 'shop', version: 3, data: items });

    expect(decodeBatchSignRequest(request)).toEqual({ key: 'shop', version: 3, batch: items });
  });

  test.each([
    ['items', Array.from({ length: MAX_ITEMS }, () => data)],
    ['bytes', [Buffer.alloc(MAX_BYTES - 1), Buffer.alloc(1)]],
  ])('may have as many %s as are allowed', (_, items) => {
    const request = overTheWire(v1.BatchSignRequest, { key: 'shop', data: items });

    expect(decodeBatchSignRequest(request).batch).toHaveLength(items.length);
  });

  test.each([
    ['without items', [], 'DATA_MISSING', ['data']],
    [
      'with too many items',
      Array.from({ length: MAX_ITEMS + 1 }, () => data),
      'FIELD_INVALID',
      ['data'],
    ],
    ['with too many bytes', [Buffer.alloc(MAX_BYTES), Buffer.alloc(1)], 'DATA_TOO_LARGE', []],
  ])('is refused %s', (_, items, reason, fields) => {
    const request = overTheWire(v1.BatchSignRequest, { key: 'shop', data: items });

    const failure = failureOf(() => decodeBatchSignRequest(request));

    expect(failure).toEqual({ reason, fields });
  });

  test.each([
    ['key', { key: 'a/b', data: [data] }],
    ['version', { key: 'shop', version: 0, data: [data] }],
  ])('is refused with a %s that cannot be', (field, fields) => {
    const request = overTheWire(v1.BatchSignRequest, fields);

    const failure = failureOf(() => decodeBatchSignRequest(request));

    expect(failure).toEqual({ reason: 'FIELD_INVALID', fields: [field] });
  });
});

describe('a batch to verify', () => {
  test('has each item with its signature, in order', () => {
    const request = overTheWire(v1.BatchVerifyRequest, {
      key: 'shop',
      data: [data, Buffer.alloc(0)],
      signatures: [Buffer.alloc(0), Buffer.alloc(32, 1)],
    });

    expect(decodeBatchVerifyRequest(request)).toEqual({
      key: 'shop',
      version: undefined,
      batch: [
        { data, mac: Buffer.alloc(0) },
        { data: Buffer.alloc(0), mac: Buffer.alloc(32, 1) },
      ],
    });
  });

  test.each([
    ['no signatures', 0, 'SIGNATURE_MISSING'],
    ['fewer signatures than items', 1, 'SIGNATURE_MISSING'],
    ['more signatures than items', 3, 'FIELD_INVALID'],
  ])('is refused with %s', (_, count, reason) => {
    const signatures = Array.from({ length: count }, () => Buffer.alloc(32));
    const request = overTheWire(v1.BatchVerifyRequest, {
      key: 'shop',
      data: [data, data],
      signatures,
    });

    const failure = failureOf(() => decodeBatchVerifyRequest(request));

    expect(failure).toEqual({ reason, fields: ['signatures'] });
  });

  test('is refused without items', () => {
    const request = overTheWire(v1.BatchVerifyRequest, { key: 'shop', signatures: [data] });

    const failure = failureOf(() => decodeBatchVerifyRequest(request));

    expect(failure).toEqual({ reason: 'DATA_MISSING', fields: ['data'] });
  });
});

describe('a request to create a key', () => {
  test('becomes an item', () => {
    const request = {
      ...{ key: 'shop', algorithm: 'HMAC_SHA256', requestId: 'a b~', reuseName: true },
    };

    const item = decodeCreateKeyRequest(overTheWire(v1.CreateKeyRequest, request));

    expect(item).toEqual({
      ...request,
      settings: { rotationPeriodMs: undefined, destroyable: true },
    });
  });

  test.each([
    [{ rotationPeriod: { seconds: 3_600, nanos: 500_000_000 } }, 3_600_500, true],
    [{ rotationPeriod: { seconds: 0, nanos: 0 }, destroyable: true }, undefined, true],
    [{ destroyable: false }, undefined, false],
  ])('has the settings %j', (fields, rotationPeriodMs, destroyable) => {
    const request = { key: 'shop', algorithm: 'HMAC_SHA256', ...fields } as const;

    const item = decodeCreateKeyRequest(overTheWire(v1.CreateKeyRequest, request));

    expect(item.settings).toEqual({ rotationPeriodMs, destroyable });
  });

  test('takes an empty request_id for none, and no name again unless it says so', () => {
    const item = decodeCreateKeyRequest({ key: 'shop', algorithm: 'HMAC_SHA1', requestId: '' });

    expect(item).toMatchObject({ requestId: undefined, reuseName: false });
  });

  test.each([
    ['no algorithm', {}],
    ['the unspecified one', { algorithm: 'ALGORITHM_UNSPECIFIED' }],
    ['one that a newer client knows', { algorithm: 77 }],
  ])('is refused with %s', (_, fields) => {
    const request = overTheWire(v1.CreateKeyRequest, { key: 'shop', ...fields });

    const failure = failureOf(() => decodeCreateKeyRequest(request));

    expect(failure).toEqual({ reason: 'FIELD_INVALID', fields: ['algorithm'] });
  });

  test.each(['a'.repeat(129), 'a\nb', 'ü', '\0'])(
    'is refused with the request_id %j',
    (requestId) => {
      const request = { key: 'shop', algorithm: 'HMAC_SHA256', requestId } as const;

      const failure = failureOf(() => decodeCreateKeyRequest(request));

      expect(failure).toEqual({ reason: 'FIELD_INVALID', fields: ['request_id'] });
    },
  );
});

describe('a request to change a key', () => {
  test.each([
    [{ seconds: 7_200 }, 7_200_000],
    [{ seconds: 0 }, undefined],
  ])('with the rotation period %j becomes an item', (rotationPeriod, rotationPeriodMs) => {
    const request = overTheWire(v1.UpdateKeyRequest, { key: 'shop', rotationPeriod });

    expect(decodeUpdateKeyRequest(request)).toEqual({ key: 'shop', rotationPeriodMs });
  });

  test.each([
    ['nothing to change', {}],
    ['a negative period', { rotationPeriod: { seconds: -1 } }],
    ['negative nanoseconds', { rotationPeriod: { seconds: 1, nanos: -1 } }],
    ['a part of a millisecond', { rotationPeriod: { seconds: 3_600, nanos: 1 } }],
    ['a second of nanoseconds', { rotationPeriod: { seconds: 3_600, nanos: 1_000_000_000 } }],
    ['more seconds than there are', { rotationPeriod: { seconds: 2 ** 60 } }],
  ])('is refused with %s', (_, fields) => {
    const request = overTheWire(v1.UpdateKeyRequest, { key: 'shop', ...fields });

    const failure = failureOf(() => decodeUpdateKeyRequest(request));

    expect(failure).toEqual({ reason: 'FIELD_INVALID', fields: ['rotation_period'] });
  });
});

test('a request for a key becomes its name and version', () => {
  const request = overTheWire(v1.GetKeyRequest, { key: 'shop', version: 3 });

  expect(decodeGetKeyRequest(request)).toEqual({ key: 'shop', version: 3 });
});

describe('a request to rotate a key', () => {
  test('becomes an item', () => {
    const request = { key: 'shop', keepActive: true, requestId: 'r1' };

    const item = decodeRotateKeyRequest(overTheWire(v1.RotateKeyRequest, request));

    expect(item).toEqual(request);
  });

  test('keeps no version active and has no request id unless it says so', () => {
    const item = decodeRotateKeyRequest(overTheWire(v1.RotateKeyRequest, { key: 'shop' }));

    expect(item).toEqual({ key: 'shop', keepActive: false, requestId: undefined });
  });

  test.each([
    ['key', { key: 'a b' }],
    ['request_id', { key: 'shop', requestId: 'a\nb' }],
  ])('is refused with a wrong %s', (field, request) => {
    const failure = failureOf(() => decodeRotateKeyRequest(request));

    expect(failure).toEqual({ reason: 'FIELD_INVALID', fields: [field] });
  });
});

describe('a request to change a version', () => {
  const request = { key: 'shop', version: 2, state: 'SUSPENDED' };

  test.each(['ACTIVE', 'DEACTIVATED', 'SUSPENDED'])('becomes an item: %s', (state) => {
    const wire = overTheWire(v1.UpdateKeyVersionRequest, { ...request, state });

    expect(decodeUpdateKeyVersionRequest(wire)).toEqual({ ...request, state });
  });

  test.each([
    ['key', { key: undefined }],
    ['version', { version: undefined }],
    ['version', { version: 0 }],
    ['version', { version: 0x10_0000 }],
    ['state', { state: undefined }],
    ['state', { state: 'STATE_UNSPECIFIED' }],
    ['state', { state: 4 }],
  ])('is refused without a right %s', (field, fields) => {
    const wire = overTheWire(v1.UpdateKeyVersionRequest, { ...request, ...fields });

    const failure = failureOf(() => decodeUpdateKeyVersionRequest(wire));

    expect(failure).toEqual({ reason: 'FIELD_INVALID', fields: [field] });
  });
});

describe('a request to schedule a destruction', () => {
  const request = { key: 'shop', version: 2 };
  const decode = (fields: object) =>
    decodeScheduleDestroyRequest(overTheWire(v1.ScheduleDestroyRequest, { ...request, ...fields }));

  test.each([
    ['none', undefined, undefined],
    ['an empty one', {}, 0],
    ['seconds', { seconds: 86_400 }, 86_400_000],
    ['seconds and nanoseconds', { seconds: 1, nanos: 500_000_000 }, 1_500],
    ['the longest', { seconds: 315_360_000 }, 315_360_000_000],
  ])('has the delay in milliseconds: %s', (_, delay, delayMs) => {
    expect(decode({ delay })).toEqual({ ...request, delayMs });
  });

  test.each([
    ['key', { key: 'a b' }],
    ['version', { version: undefined }],
    ['version', { version: 0 }],
    ['delay', { delay: { seconds: -1 } }],
    ['delay', { delay: { nanos: -1 } }],
    ['delay', { delay: { nanos: 1 } }],
    ['delay', { delay: { nanos: 1_000_000_000 } }],
    ['delay', { delay: { seconds: 2 ** 62 } }],
  ])('is refused with a wrong %s', (field, fields) => {
    expect(failureOf(() => decode(fields))).toEqual({ reason: 'FIELD_INVALID', fields: [field] });
  });
});

test('a request to restore a version names it', () => {
  const request = { key: 'shop', version: 2 };

  expect(decodeRestoreRequest(overTheWire(v1.RestoreRequest, request))).toEqual(request);
  expect(failureOf(() => decodeRestoreRequest({ key: 'shop' }))).toEqual({
    reason: 'FIELD_INVALID',
    fields: ['version'],
  });
});

describe('a request to list keys', () => {
  test('starts at the first page, of 100 keys, unless it says otherwise', () => {
    expect(decodeListKeysRequest({})).toEqual({ pageSize: 100, after: undefined });
  });

  test('goes on where the page before ended', () => {
    const request = { pageSize: 1_000, pageToken: encodePageToken('shop') };

    expect(decodeListKeysRequest(request)).toEqual({ pageSize: 1_000, after: 'shop' });
  });

  test.each([-1, 1_001, 2_147_483_647])('is refused with the page_size %i', (pageSize) => {
    const failure = failureOf(() => decodeListKeysRequest({ pageSize }));

    expect(failure).toEqual({ reason: 'FIELD_INVALID', fields: ['page_size'] });
  });

  test.each(['!', 'shop', `${encodePageToken('shop')}=`, encodePageToken('a b'), 'c2hvcA\n'])(
    'is refused with the page_token %j',
    (pageToken) => {
      const failure = failureOf(() => decodeListKeysRequest({ pageToken }));

      expect(failure).toEqual({ reason: 'FIELD_INVALID', fields: ['page_token'] });
    },
  );
});
