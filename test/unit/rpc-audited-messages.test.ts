import { Metadata } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { resultOf, subjectOf, traceOf } from '../../src/rpc/audited-messages.ts';

const DATA = Buffer.from('data');
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

describe('the result of a request', () => {
  test.each([
    [
      'a signature has the version that made it',
      resultOf('Sign', { key: 'shop', data: DATA }, { version: 3 }),
      { key: 'shop', version: 3, data: [DATA] },
    ],
    [
      'a verification has whether it was right',
      resultOf('Verify', { key: 'shop', version: 2, digest: DATA }, { valid: false }),
      { key: 'shop', version: 2, valid: false, data: [DATA] },
    ],
    [
      'a batch has how many it signed',
      resultOf('BatchSign', { key: 'shop', data: [DATA, DATA] }, { version: 1 }),
      { key: 'shop', version: 1, data: [DATA, DATA], items: 2, failed: 0 },
    ],
    [
      'a verified batch has how many were wrong',
      resultOf('BatchVerify', { key: 'shop', data: [DATA, DATA] }, { versions: [2, 0] }),
      { key: 'shop', data: [DATA, DATA], items: 2, failed: 1, valid: false },
    ],
    [
      'a frame has what is in its answer',
      resultOf('Pipeline', { key: 'shop', data: [DATA] }, { verify: { versions: [1] } }),
      { key: 'shop', data: [DATA], items: 1, failed: 0, valid: true },
    ],
    [
      'a batch that was refused has none that was done',
      resultOf('BatchSign', { key: 'shop', data: [DATA, DATA] }, undefined),
      { key: 'shop', data: [DATA, DATA], items: 2, failed: 2 },
    ],
    [
      'a rotation has the version that it made',
      resultOf('RotateKey', { key: 'shop' }, { key: { versions: [{ version: 4 }] } }),
      { key: 'shop', version: 4 },
    ],
    [
      'a look at a key has no version, whatever versions it has',
      resultOf('GetKey', { key: 'shop' }, { key: { versions: [{ version: 4 }] } }),
      { key: 'shop' },
    ],
    ['a request that was not read has nothing', resultOf('Sign', undefined, undefined), {}],
  ])('%s', (_, result, expected) => {
    expect(JSON.parse(JSON.stringify(result))).toEqual(JSON.parse(JSON.stringify(expected)));
  });
});

test.each([
  ['a name that no key can have', 'no such key!'],
  ['a name that is far too long', 'k'.repeat(100_000)],
])('the subject of a request leaves out %s', (_, key) => {
  expect(subjectOf({ key, version: 0 })).toEqual({ key: undefined, version: undefined });
});

describe('the trace of a request', () => {
  const traced = (parent: string) => {
    const metadata = new Metadata();
    metadata.set('traceparent', parent);
    return traceOf(metadata);
  };

  test('is that of its traceparent', () => {
    expect(traced(`00-${TRACE}-00f067aa0ba902b7-01`)).toBe(TRACE);
  });

  test.each([
    'nonsense',
    `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `ff-${TRACE}-00f067aa0ba902b7-01`,
    `00-${TRACE.toUpperCase()}-00f067aa0ba902b7-01`,
  ])('is none for %s', (parent) => {
    expect(traced(parent)).toBeUndefined();
  });

  test('is none where there is no traceparent', () => {
    expect(traceOf(new Metadata())).toBeUndefined();
  });
});
