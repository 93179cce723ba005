import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { limitFields, signingServiceDefinition } from '../../src/rpc/field-limit.ts';
import { v1 } from '../../src/rpc/proto.ts';

const MAX_ITEMS = 1_024;
const { BatchSign, BatchVerify, Pipeline } = signingServiceDefinition;

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

  expect(limitFields(bytes, new Set([2, 3])).byteLength).toBeLessThan(3 * once.byteLength);
});

test('a group, of which protobuf would read everything, is cut off', () => {
  const group = Buffer.alloc(10_000, 0x1b);

  expect(limitFields(group, new Set())).toHaveLength(0);
});

test('bytes that are no message end the reading without an error', () => {
  const bytes = fc
    .uint8Array({ minLength: 4_300, maxLength: 5_000 })
    .map((array) => Buffer.from(array));
  fc.assert(
    fc.property(bytes, (bytes) => {
      const first = limitFields(bytes, new Set([2, 3]));

      expect(first.byteLength).toBeLessThanOrEqual(bytes.byteLength + 16);
    }),
  );
});
