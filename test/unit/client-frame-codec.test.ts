import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeAnswer, encodeFrame } from '../../src/client/frame-codec.ts';
import { v1 } from '../../src/rpc/proto.ts';

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const uint32 = fc.integer({ min: 1, max: 2 ** 32 - 1 });
const key = fc.string({ unit: 'grapheme', maxLength: 200 });
const version = fc.option(uint32, { nil: undefined });

describe('a frame is encoded as the generated encoder does it', () => {
  test('to sign', () => {
    const property = fc.property(
      ...([uint32, key, version, fc.array(bytes)] as const),
      (correlationId, name, number, data) => {
        const items = data.map((item) => ({ data: item, signature: undefined }));

        const frame = {
          operation: 'sign',
          correlationId,
          key: name,
          version: number,
          items,
        } as const;
        const encoded = encodeFrame(frame);

        const sign = { key: name, ...(number !== undefined && { version: number }), data };
        expect(decoded(encoded)).toEqual(roundTrip({ correlationId, sign }));
      },
    );
    fc.assert(property);
  });

  test('to verify', () => {
    const items = fc.array(fc.record({ data: bytes, signature: bytes }));
    const property = fc.property(
      ...([uint32, key, version, items] as const),
      (correlationId, name, number, signed) => {
        const encoded = encodeFrame({
          ...{ operation: 'verify', correlationId, key: name, version: number, items: signed },
        });

        const verify = {
          key: name,
          ...(number !== undefined && { version: number }),
          data: signed.map(({ data }) => data),
          signatures: signed.map(({ signature }) => signature),
        };
        expect(decoded(encoded)).toEqual(roundTrip({ correlationId, verify }));
      },
    );
    fc.assert(property);
  });

  function decoded(encoded: Buffer) {
    return v1.PipelineRequest.deserialize(encoded);
  }

  function roundTrip(request: Parameters<typeof v1.PipelineRequest.serialize>[0]) {
    return decoded(v1.PipelineRequest.serialize(request));
  }
});

describe('an answer is decoded as the generated decoder does it', () => {
  const sign = fc.record(
    {
      signatures: fc.array(bytes),
      version: uint32,
      versionId: fc.string(),
      algorithm: fc.constantFrom('HMAC_SHA256', 'HMAC_SHA512'),
    },
    { requiredKeys: [] },
  );
  const verify = fc.record({ versions: fc.array(fc.nat()) });
  const error = fc.record({ code: fc.nat(16), message: fc.string() });
  const answers = fc.oneof(
    fc.record({ correlationId: uint32, sign }, { requiredKeys: [] }),
    fc.record({ correlationId: uint32, verify }),
    fc.record({ correlationId: uint32, error }),
  ) as fc.Arbitrary<Parameters<typeof v1.PipelineResponse.serialize>[0]>;

  test('whatever it says', () => {
    const property = fc.property(answers, (answer) => {
      const encoded = v1.PipelineResponse.serialize(answer);

      expect(decodeAnswer(encoded)).toEqual(v1.PipelineResponse.deserialize(encoded));
    });
    fc.assert(property);
  });

  test('or refused as there, when it is cut off or no answer at all', () => {
    const parts = fc.tuple(answers, fc.nat(), fc.array(fc.tuple(fc.nat(), fc.nat(255))));
    const property = fc.property(parts, ([answer, length, changes]) => {
      const whole = Buffer.from(v1.PipelineResponse.serialize(answer));
      const encoded = whole.subarray(0, whole.byteLength - (length % (whole.byteLength + 1)));
      for (const [at, byte] of changes) if (at < encoded.byteLength) encoded[at] = byte;

      expect(outcome(decodeAnswer, encoded)).toEqual(
        outcome(v1.PipelineResponse.deserialize, encoded),
      );
    });
    fc.assert(property);
  });

  test('of a newer daemon, with fields that are not known', () => {
    const encoded = v1.PipelineResponse.serialize({
      correlationId: 7,
      sign: { signatures: [Buffer.from('mac')], version: 2 },
    });
    const unknown = Buffer.from([0x7a, 0x01, 0x00]);
    const newer = Buffer.concat([encoded, unknown]);

    expect(decodeAnswer(newer)).toEqual(v1.PipelineResponse.deserialize(encoded));
  });

  function outcome<Answer>(decode: (encoded: Buffer) => Answer, encoded: Buffer) {
    try {
      return decode(encoded);
    } catch {
      return 'refused';
    }
  }
});
