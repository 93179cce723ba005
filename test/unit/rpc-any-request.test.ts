import fc from 'fast-check';
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
} from '../../src/rpc/decode-keys.ts';
import {
  decodeBatchSignRequest,
  decodeBatchVerifyRequest,
  decodeSignRequest,
  decodeVerifyRequest,
} from '../../src/rpc/decode-signing.ts';
import { decodeSignHeader, decodeStream } from '../../src/rpc/decode-stream.ts';
import { keyServiceDefinition, signingServiceDefinition } from '../../src/rpc/field-limit.ts';
import { decodeImportKeyRequest } from '../../src/rpc/import-handlers.ts';
import { v1 } from '../../src/rpc/proto.ts';
import { corpus, FUZZ_TIMEOUT_MS, inputs, mutated } from '../support/fuzz.ts';

const signing = signingServiceDefinition;
const keys = keyServiceDefinition;

/** Every unary method: what it reads, and what its handler makes of that. */
const METHODS: readonly [string, (bytes: Buffer) => unknown][] = [
  ['Sign', (bytes) => decodeSignRequest(signing.Sign.requestDeserialize(bytes))],
  ['Verify', (bytes) => decodeVerifyRequest(signing.Verify.requestDeserialize(bytes))],
  ['BatchSign', (bytes) => decodeBatchSignRequest(signing.BatchSign.requestDeserialize(bytes))],
  [
    'BatchVerify',
    (bytes) => decodeBatchVerifyRequest(signing.BatchVerify.requestDeserialize(bytes)),
  ],
  ['CreateKey', (bytes) => decodeCreateKeyRequest(keys.CreateKey.requestDeserialize(bytes))],
  ['GetKey', (bytes) => decodeGetKeyRequest(keys.GetKey.requestDeserialize(bytes))],
  ['ListKeys', (bytes) => decodeListKeysRequest(keys.ListKeys.requestDeserialize(bytes))],
  ['RotateKey', (bytes) => decodeRotateKeyRequest(keys.RotateKey.requestDeserialize(bytes))],
  ['UpdateKey', (bytes) => decodeUpdateKeyRequest(keys.UpdateKey.requestDeserialize(bytes))],
  [
    'UpdateKeyVersion',
    (bytes) => decodeUpdateKeyVersionRequest(keys.UpdateKeyVersion.requestDeserialize(bytes)),
  ],
  [
    'ScheduleDestroy',
    (bytes) => decodeScheduleDestroyRequest(keys.ScheduleDestroy.requestDeserialize(bytes)),
  ],
  ['Restore', (bytes) => decodeRestoreRequest(keys.Restore.requestDeserialize(bytes))],
  ['ImportKey', (bytes) => decodeImportKeyRequest(keys.ImportKey.requestDeserialize(bytes))],
];

/** Requests that are right, to begin with. */
const SEEDS: readonly Uint8Array[] = [
  ...corpus('requests').map(({ bytes }) => bytes),
  v1.SignRequest.serialize({
    ...{ key: 'shop', version: 3, data: Buffer.from('data'), signatureFormat: 'DER' },
    peerPublicKey: Buffer.alloc(91, 4),
  }),
  v1.VerifyRequest.serialize({
    key: 'shop',
    digest: Buffer.alloc(32),
    signature: Buffer.alloc(64),
  }),
  v1.BatchVerifyRequest.serialize({
    ...{ key: 'shop', data: [Buffer.from('a'), Buffer.from('b')] },
    signatures: [Buffer.alloc(32), Buffer.alloc(32)],
  }),
  v1.CreateKeyRequest.serialize({
    ...{ key: 'shop', algorithm: 'HMAC_SHA256', requestId: 'one', destroyable: false },
    rotationPeriod: { seconds: 86_400, nanos: 1_000_000 },
  }),
  v1.ListKeysRequest.serialize({ pageSize: 10, pageToken: 'c2hvcA' }),
  v1.ImportKeyRequest.serialize({
    ...{ key: 'shop', algorithm: 'EC_SIGN_P256_SHA256', importKeyId: 'ab', newVersion: true },
    ...{ wrappedKey: Buffer.alloc(300, 1), publicKeyDer: Buffer.alloc(91, 2) },
  }),
  v1.PipelineRequest.serialize({
    correlationId: 1,
    sign: { key: 'shop', data: [Buffer.from('a')] },
  }),
];

const request = mutated(fc.constantFrom(...SEEDS));

const REFUSALS = ['FIELD_INVALID', 'DATA_MISSING', 'DATA_TOO_LARGE', 'SIGNATURE_MISSING'];

describe.each(METHODS)('%s', (_, read) => {
  test('reads or refuses any request, and says why', { timeout: FUZZ_TIMEOUT_MS }, () => {
    fc.assert(
      fc.property(request, (bytes) => {
        expectRefusal(() => read(bytes));
      }),
      { ...inputs(200), examples: corpus('requests').map(({ bytes }) => [bytes]) },
    );
  });
});

/** Bytes that are no message at all get no further than protobuf. */
function expectRefusal(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(TypeError);
    if (!(error instanceof SigildError)) return;
    expect(REFUSALS).toContain(error.reason);
    expect(error.message.length).toBeLessThan(2_000);
  }
}

function fixed(content: Uint8Array, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, at) => content[at] ?? 0);
}

/** Fields of any number and wire type, as a message of any length. */
const field = fc
  .tuple(fc.nat({ max: 9 }), fc.constantFrom(0, 1, 2, 2, 2, 5), fc.uint8Array({ maxLength: 9 }))
  .map(([number, wireType, content]) => {
    const tag = [(number << 3) | wireType];
    if (wireType === 2) return Buffer.from([...tag, content.length, ...content]);
    if (wireType === 0) return Buffer.from([...tag, (content[0] ?? 0) & 0x7f]);
    return Buffer.from([...tag, ...fixed(content, wireType === 1 ? 8 : 4)]);
  });

describe('the limit of fields', () => {
  test('changes nothing of a request that has fewer', { timeout: FUZZ_TIMEOUT_MS }, () => {
    fc.assert(
      fc.property(fc.array(field, { maxLength: 40 }), (fields) => {
        const bytes = Buffer.concat(fields);
        const limited = outcomeOf(() => signing.BatchVerify.requestDeserialize(bytes));
        if (limited === 'refused') return;

        expect(limited).toEqual(outcomeOf(() => v1.BatchVerifyRequest.deserialize(bytes)));
      }),
      inputs(500),
    );
  });

  test('holds however items are hidden', { timeout: FUZZ_TIMEOUT_MS }, () => {
    const many = fc.tuple(fc.array(field, { maxLength: 6 }), fc.integer({ min: 500, max: 4_000 }));
    fc.assert(
      fc.property(many, fc.boolean(), ([fields, times], isFrame) => {
        const once = Buffer.concat([...fields, Buffer.from([0x1a, 0x00])]);
        const batch = Buffer.concat(Array.from({ length: times }, () => once));
        const bytes = isFrame
          ? Buffer.concat([Buffer.from([0x12]), varint(batch.length), batch])
          : batch;
        const read = isFrame
          ? () => signing.Pipeline.requestDeserialize(bytes).sign
          : () => signing.BatchSign.requestDeserialize(bytes);
        const message = outcomeOf(read);
        if (message === 'refused') return;

        expect(message?.data.length ?? 0).toBeLessThanOrEqual(2_100);
      }),
      inputs(100),
    );
  });

  function outcomeOf<Message>(read: () => Message): Message | 'refused' {
    try {
      return read();
    } catch {
      return 'refused';
    }
  }

  function varint(value: number): Buffer {
    const bytes: number[] = [];
    let rest = value;
    for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
    return Buffer.from([...bytes, rest]);
  }
});

test('a stream of any messages is read or refused', { timeout: FUZZ_TIMEOUT_MS }, async () => {
  const message = mutated(
    fc.constantFrom(
      v1.SignStreamRequest.serialize({ header: { key: 'shop', version: 1 } }),
      v1.SignStreamRequest.serialize({ data: Buffer.from('data') }),
      Buffer.alloc(0),
    ),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 4 }), async (messages) => {
      const outcome = readStream(messages).catch((error: unknown) => error);

      const ended = await outcome;
      if (ended !== undefined) expect(ended).toBeInstanceOf(SigildError);
    }),
    inputs(200),
  );
});

/** Reads a stream to its end; what is no message never gets that far. */
async function readStream(messages: readonly Buffer[]): Promise<void> {
  const read = messages.flatMap((bytes) => {
    try {
      return [signing.SignStream.requestDeserialize(bytes)];
    } catch {
      return [];
    }
  });
  async function* sent() {
    yield* read;
  }
  const { header, pieces } = await decodeStream(sent());
  decodeSignHeader(header);
  for await (const piece of pieces) expect(piece).toBeInstanceOf(Buffer);
}
