import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ALGORITHM_NAMES } from '../../src/domain/algorithm.ts';
import { ERROR_REASONS, fieldInvalid, SigildError } from '../../src/domain/errors.ts';
import { FINGERPRINT_BYTES } from '../../src/domain/fingerprint.ts';
import { USAGE_STATES } from '../../src/domain/key-state.ts';
import {
  decodeSignAgreed,
  decodeVerifyAgreed,
  encodeSignAgreed,
  encodeVerifyAgreed,
} from '../../src/token-host/agreed-frames.ts';
import { FrameReader } from '../../src/token-host/frames.ts';
import {
  decodeFingerprints,
  decodeIndexes,
  decodeMacs,
  decodeResult,
  decodeSign,
  decodeVerify,
  encodeAnswer,
  encodeIndexes,
  encodeSign,
  encodeVerify,
} from '../../src/token-host/mac-frames.ts';
import {
  decodeFailure,
  decodeJson,
  decodeNewKey,
  decodePublicKeys,
  encodeEmpty,
  encodeFailure,
  encodeJson,
  encodeNewKey,
  encodeStateChange,
  encodeVersionRef,
  encodeVersionRefs,
  OPERATION,
  OUTCOME,
  publicKeysAnswer,
} from '../../src/token-host/protocol.ts';
import { keyOf, keyVersion } from '../support/key-version.ts';

const FIRST = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

const bytes = (maxLength: number, minLength = 0) =>
  fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array));
const keyName = fc
  .tuple(
    fc.constantFrom(...FIRST),
    fc.string({ unit: fc.constantFrom(...FIRST, '.', '_', '-'), maxLength: 62 }),
  )
  .map(([first, rest]) => first + rest);
const versionId = bytes(16, 16).map((id) => id.toString('hex'));
const ref = fc.record({ key: keyName, id: versionId });
const fingerprint = fc.record({
  id: versionId,
  mac: bytes(FINGERPRINT_BYTES, FINGERPRINT_BYTES),
});

function framesIn(encoded: Buffer) {
  return [...new FrameReader().push(encoded)];
}

/** The payload of what must be one whole frame with this code. */
function payloadOf(encoded: Buffer, code: number): Buffer {
  const frames = framesIn(encoded);
  expect(frames).toMatchObject([{ code }]);
  return frames[0]?.payload ?? Buffer.alloc(0);
}

describe('a request', () => {
  test('to sign arrives as it was sent', () => {
    fc.assert(
      fc.property(ref, fc.array(bytes(100), { maxLength: 20 }), (ref, batch) => {
        const payload = payloadOf(encodeSign(ref, batch), OPERATION.sign);

        expect(decodeSign(payload)).toEqual({ ref, batch });
      }),
    );
  });

  test('to verify arrives as it was sent', () => {
    const refs = fc.array(ref, { maxLength: 20 });
    const batch = fc.array(fc.record({ data: bytes(100), mac: bytes(64) }), { maxLength: 20 });
    fc.assert(
      fc.property(refs, batch, (refs, batch) => {
        const payload = payloadOf(encodeVerify(refs, batch), OPERATION.verify);

        expect(decodeVerify(payload)).toEqual({ refs, batch });
      }),
    );
  });

  test('says whether its messages are digests', () => {
    const ref = { key: 'invoices', id: 'ab'.repeat(16) };
    const [data, mac] = [Buffer.alloc(32, 1), Buffer.alloc(64, 2)];

    const sign = payloadOf(encodeSign(ref, [data], OPERATION.signDigests), OPERATION.signDigests);
    const verify = payloadOf(
      encodeVerify([ref], [{ data, mac }], OPERATION.verifyDigests),
      OPERATION.verifyDigests,
    );

    expect(decodeSign(sign)).toEqual({ ref, batch: [data] });
    expect(decodeVerify(verify)).toEqual({ refs: [ref], batch: [{ data, mac }] });
  });

  test('for agreed keys has the peer in front of its messages', () => {
    const ref = { key: 'invoices', id: 'ab'.repeat(16) };
    const [peer, data, mac] = [Buffer.alloc(65, 4), Buffer.alloc(0), Buffer.alloc(32, 2)];

    const sign = payloadOf(encodeSignAgreed(ref, peer, [data, mac]), OPERATION.signAgreed);
    const verify = payloadOf(
      encodeVerifyAgreed([ref, ref], peer, [{ data, mac }]),
      OPERATION.verifyAgreed,
    );

    expect(decodeSignAgreed(sign)).toEqual({ ref, peer, batch: [data, mac] });
    expect(decodeVerifyAgreed(verify)).toEqual({
      refs: [ref, ref],
      peer,
      batch: [{ data, mac }],
    });
  });

  test('for public keys is answered with them and their fingerprints', () => {
    const result = [Buffer.from('one key'), Buffer.from('another')];
    const fingerprints = [{ id: 'ab'.repeat(16), mac: Buffer.alloc(FINGERPRINT_BYTES, 7) }];
    const ref = { key: 'invoices', id: 'ab'.repeat(16) };

    const request = payloadOf(encodeVersionRefs([keyVersion(ref)]), OPERATION.publicKeys);
    const answer = encodeJson(OUTCOME.done, publicKeysAnswer({ result, fingerprints }));

    expect(decodeJson(request)).toEqual([ref]);
    expect(decodePublicKeys(payloadOf(answer, OUTCOME.done))).toEqual({ result, fingerprints });
  });

  test.each([1, 63])('may name a key with %i characters', (length) => {
    const ref = { key: 'k'.repeat(length), id: 'ab'.repeat(16) };
    const [data, mac] = [Buffer.from('data'), Buffer.from('mac')];

    const sign = payloadOf(encodeSign(ref, [data]), OPERATION.sign);
    const verify = payloadOf(encodeVerify([ref, ref], [{ data, mac }]), OPERATION.verify);

    expect(decodeSign(sign)).toEqual({ ref, batch: [data] });
    expect(decodeVerify(verify)).toEqual({ refs: [ref, ref], batch: [{ data, mac }] });
  });

  test.each([0, 1, 1024 * 1024])('may have messages of %i bytes', (length) => {
    const ref = { key: 'webhooks', id: 'ab'.repeat(16) };
    const data = Buffer.alloc(length, 'data');
    const mac = Buffer.alloc(32);

    const sign = payloadOf(encodeSign(ref, [data, data]), OPERATION.sign);
    const verify = payloadOf(encodeVerify([ref], [{ data, mac }]), OPERATION.verify);

    expect(decodeSign(sign).batch.map((decoded) => decoded.equals(data))).toEqual([true, true]);
    expect(decodeVerify(verify).batch[0]?.data.equals(data)).toBe(true);
  });

  test('may name a thousand versions and have a thousand messages', () => {
    const refs = Array.from({ length: 1_000 }, (_, version) => {
      const { key, id } = keyVersion({ version });
      return { key, id };
    });
    const batch = refs.map(({ id }) => ({ data: Buffer.from(id), mac: Buffer.from(id, 'hex') }));

    const payload = payloadOf(encodeVerify(refs, batch), OPERATION.verify);

    expect(decodeVerify(payload)).toEqual({ refs, batch });
  });

  test('to create a key or a version of it arrives as it was sent', () => {
    const newKey = fc.record({
      name: keyName,
      algorithm: fc.constantFrom(...ALGORITHM_NAMES),
      id: bytes(16, 16),
    });
    fc.assert(
      fc.property(newKey, (key) => {
        for (const code of [OPERATION.createKey, OPERATION.createVersion]) {
          const payload = payloadOf(encodeNewKey(code, key), code);

          expect(decodeNewKey(payload)).toEqual(key);
        }
      }),
    );
  });

  test('to destroy or to forget a version arrives as it was sent', () => {
    fc.assert(
      fc.property(ref, (ref) => {
        for (const code of [OPERATION.destroyVersion, OPERATION.forgetVersion]) {
          const payload = payloadOf(encodeVersionRef(code, ref), code);

          expect(decodeJson(payload)).toEqual(ref);
        }
      }),
    );
  });

  test('to change the state of a version arrives as it was sent', () => {
    fc.assert(
      fc.property(ref, fc.constantFrom(...USAGE_STATES), (ref, state) => {
        const payload = payloadOf(encodeStateChange(ref, state), OPERATION.setVersionState);

        expect(decodeJson(payload)).toEqual({ ...ref, state });
      }),
    );
  });

  test('to find a key arrives as it was sent', () => {
    fc.assert(
      fc.property(keyName, (name) => {
        expect(decodeJson(payloadOf(encodeJson(OPERATION.findKey, name), OPERATION.findKey))).toBe(
          name,
        );
      }),
    );
  });

  test('without content is a whole frame', () => {
    expect(payloadOf(encodeEmpty(OPERATION.probe), OPERATION.probe).byteLength).toBe(0);
  });
});

describe('an answer', () => {
  test('brings its result and every fingerprint', () => {
    const fingerprints = fc.array(fingerprint, { maxLength: 10 });
    fc.assert(
      fc.property(bytes(64), fingerprints, (result, fingerprints) => {
        const payload = payloadOf(encodeAnswer(result, fingerprints), OUTCOME.done);

        expect(decodeResult(payload)).toEqual(result);
        expect(decodeFingerprints(payload)).toEqual(fingerprints);
      }),
    );
  });

  test('brings fingerprints that outlive it', () => {
    const fingerprints = [{ id: 'ab'.repeat(16), mac: Buffer.alloc(FINGERPRINT_BYTES, 7) }];
    const payload = payloadOf(encodeAnswer(Buffer.from('mac'), fingerprints), OUTCOME.done);

    const decoded = decodeFingerprints(payload);
    payload.fill(0);

    expect(decoded).toEqual(fingerprints);
  });

  test('brings a MAC for each message', () => {
    const macs = fc
      .constantFrom(20, 28, 32, 48, 64)
      .chain((macBytes) => fc.array(bytes(macBytes, macBytes), { minLength: 1, maxLength: 20 }));
    fc.assert(
      fc.property(macs, (macs) => {
        expect(decodeMacs(Buffer.concat(macs), macs.length)).toEqual(macs);
      }),
    );
  });

  test('brings an index for each message', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -1, max: 32_767 })), (indexes) => {
        expect(decodeIndexes(encodeIndexes(indexes))).toEqual(indexes);
      }),
    );
  });

  test('brings keys, or none', () => {
    const key = keyOf(keyVersion({ version: 2, state: 'DEACTIVATED' }), keyVersion());
    const answer = (value: unknown) => payloadOf(encodeJson(OUTCOME.done, value), OUTCOME.done);

    expect(decodeJson(answer(key))).toEqual(key);
    expect(decodeJson(answer(undefined))).toBeUndefined();
    expect(decodeJson(answer([key, key]))).toEqual([key, key]);
  });

  test.each([true, false])('brings a key that was made by this call: %s', (made) => {
    const creation = { key: keyOf(keyVersion()), made };

    const payload = payloadOf(encodeJson(OUTCOME.done, creation), OUTCOME.done);

    expect(decodeJson(payload)).toEqual(creation);
  });

  test('brings a version of which the token reports little', () => {
    const attributes = {
      sensitive: undefined,
      extractable: false,
      alwaysSensitive: undefined,
      neverExtractable: undefined,
      local: undefined,
    };
    const key = keyOf(keyVersion({ createTimeMs: undefined, attributes }));

    const payload = payloadOf(encodeJson(OUTCOME.done, key), OUTCOME.done);

    expect(decodeJson(payload)).toEqual(key);
  });

  test.each([OUTCOME.failed, OUTCOME.lost])('of code %i brings an error', (code) => {
    const cause = new Error('C_Sign failed');
    fc.assert(
      fc.property(fc.constantFrom(...ERROR_REASONS), fc.string(), (reason, message) => {
        const error = new SigildError(reason, message, { cause });

        const decoded = decodeFailure(payloadOf(encodeFailure(code, error), code));

        expect(decoded).toBeInstanceOf(SigildError);
        expect(decoded).toMatchObject({ reason, message, cause: { message: cause.message } });
      }),
    );
  });

  test('brings the fields that it is about', () => {
    const error = fieldInvalid('peer_public_key', 'is its own');

    const decoded = decodeFailure(payloadOf(encodeFailure(OUTCOME.failed, error), OUTCOME.failed));

    expect(decoded.violations).toEqual(error.violations);
  });

  test('brings no cause where the error has none', () => {
    const error = new SigildError('KEY_NOT_FOUND', 'gone');

    const decoded = decodeFailure(payloadOf(encodeFailure(OUTCOME.failed, error), OUTCOME.failed));

    expect('cause' in decoded).toBe(false);
  });

  test('that is cut off is refused, never read past its end', () => {
    const fingerprints = [{ id: 'ab'.repeat(16), mac: Buffer.alloc(FINGERPRINT_BYTES) }];
    const payload = payloadOf(encodeAnswer(Buffer.from('mac'), fingerprints), OUTCOME.done);

    expect(() => decodeFingerprints(payload.subarray(0, 1))).toThrow(RangeError);
  });
});
