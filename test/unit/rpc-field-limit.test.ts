import { describe, expect, test } from 'vitest';
import { fieldsOf, limitFields, signingServiceDefinition } from '../../src/rpc/field-limit.ts';
import { v1 } from '../../src/rpc/proto.ts';

const MAX_ITEMS = 1_024;
const { BatchSign, BatchVerify, Pipeline } = signingServiceDefinition;

const FRAME = fieldsOf(Pipeline.requestType);

const empty = (items: number) => Array.from({ length: items }, () => Buffer.alloc(0));

describe('a batch of as many items as are allowed', () => {
  const items = Array.from({ length: MAX_ITEMS }, (_, index) => Buffer.from(`item ${index}`));
  const batch = { key: 'shop', version: 7, data: items, signatures: items };

  test.each([
    ['BatchSign', BatchSign, v1.BatchSignRequest.serialize(batch)],
    ['BatchVerify', BatchVerify, v1.BatchVerifyRequest.serialize(batch)],
    ['Pipeline', Pipeline, v1.PipelineRequest.serialize({ correlationId: 5, sign: batch })],
    ['Pipeline', Pipeline, v1.PipelineRequest.serialize({ correlationId: 5, verify: batch })],
  ])('arrives whole in %s', (_, method, bytes) => {
    const message = method.requestDeserialize(bytes);

    expect(method.requestSerialize(message as never)).toEqual(bytes);
  });
});

describe('a batch of millions of items', () => {
  const batch = { key: 'shop', data: empty(1_000_000), signatures: empty(1_000_000) };

  test('to sign has too many, and no more than a few times that', () => {
    const { data, key } = BatchSign.requestDeserialize(v1.BatchSignRequest.serialize(batch));

    expect(key).toBe('shop');
    expect(data.length).toBeGreaterThan(MAX_ITEMS);
    expect(data.length).toBeLessThan(3 * MAX_ITEMS);
  });

  test('to verify has too many items or too many signatures', () => {
    const tooManyItems = BatchVerify.requestDeserialize(v1.BatchVerifyRequest.serialize(batch));
    const tooManySignatures = BatchVerify.requestDeserialize(
      v1.BatchVerifyRequest.serialize({ ...batch, data: empty(MAX_ITEMS) }),
    );

    expect(tooManyItems.data.length).toBeGreaterThan(MAX_ITEMS);
    expect(tooManySignatures.data).toHaveLength(MAX_ITEMS);
    expect(tooManySignatures.signatures.length).toBeGreaterThan(MAX_ITEMS);
    expect(tooManySignatures.signatures.length).toBeLessThan(3 * MAX_ITEMS);
  });

  test.each(['sign', 'verify'] as const)('in a frame to %s keeps its number', (operation) => {
    const bytes = v1.PipelineRequest.serialize({ correlationId: 9, [operation]: batch });

    const frame = Pipeline.requestDeserialize(bytes);

    expect(frame.correlationId).toBe(9);
    expect(frame[operation]?.data.length).toBeGreaterThan(MAX_ITEMS);
    expect(frame[operation]?.data.length).toBeLessThan(3 * MAX_ITEMS);
  });
});

test('a frame whose operation stands there over and over is cut off as well', () => {
  const once = v1.PipelineRequest.serialize({ sign: { key: 'shop', data: empty(1_000) } });
  const bytes = Buffer.concat(Array.from({ length: 1_000 }, () => once));

  expect(limitFields(bytes, FRAME).byteLength).toBeLessThan(3 * once.byteLength);
});

test('a group, of which protobuf would read everything, is refused', () => {
  const group = Buffer.alloc(10_000, 0x4b);

  expect(() => limitFields(group, FRAME)).toThrow('wire type 3');
});

describe('a field with the wire type of another', () => {
  const hidden = Buffer.concat(Array.from({ length: 100_000 }, () => Buffer.from([0x1a, 0])));

  test('hides no items from the limit', () => {
    // The version as a text, which protobuf would read as a number with items behind it.
    const bytes = Buffer.concat([Buffer.from([0x12, 0xc0, 0x9a, 0x0c]), hidden]);

    expect(() => BatchSign.requestDeserialize(bytes)).toThrow('field 2 has the wire type 2');
  });

  test('is no empty message', () => {
    const zero = Buffer.concat([v1.SignRequest.serialize({ key: 'shop' }), Buffer.from([0x18, 0])]);

    expect(() => signingServiceDefinition.Sign.requestDeserialize(zero)).toThrow(
      'field 3 has the wire type 0',
    );
  });
});
