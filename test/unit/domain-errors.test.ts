import { describe, expect, test } from 'vitest';
import {
  ALGORITHM_NAMES,
  ALGORITHMS,
  isAlgorithm,
  MAC_ALGORITHM_NAMES,
} from '../../src/domain/algorithm.ts';
import { ERROR_REASONS, fieldInvalid, SigildError } from '../../src/domain/errors.ts';

describe('an error', () => {
  test('keeps what must stay inside in its cause', () => {
    const cause = new Error('inside');

    const error = new SigildError('TOKEN_UNAVAILABLE', 'outside', { cause, retryAfterMs: 5 });

    expect(error).toMatchObject({
      name: 'SigildError',
      reason: 'TOKEN_UNAVAILABLE',
      message: 'outside',
      cause,
      retryAfterMs: 5,
      violations: [],
    });
  });

  test('without a cause has none', () => {
    expect('cause' in new SigildError('INTERNAL', 'outside')).toBe(false);
  });

  test('of a field names it for people and for programs', () => {
    expect(fieldInvalid('key', 'is too long')).toMatchObject({
      reason: 'FIELD_INVALID',
      message: 'key: is too long',
      violations: [{ field: 'key', description: 'is too long' }],
    });
  });

  test('has a reason that no other reason repeats, in an order that people can search', () => {
    expect([...new Set(ERROR_REASONS)].sort()).toEqual(ERROR_REASONS);
  });
});

describe('an algorithm', () => {
  test.each(ALGORITHM_NAMES)('%s is known by its name', (name) => {
    expect(isAlgorithm(name)).toBe(true);
  });

  test.each(['', 'hmac_sha256', 'HMAC_SHA3', 'toString', '__proto__'])(
    'is never called %j',
    (name) => {
      expect(isAlgorithm(name)).toBe(false);
    },
  );

  // RFC 2104 section 3: keys shorter than the hash's output are strongly discouraged.
  test.each(MAC_ALGORITHM_NAMES.filter((name) => name.startsWith('HMAC_')))(
    '%s has keys as long as its MACs',
    (name) => {
      expect(ALGORITHMS[name].keyBytes).toBe(ALGORITHMS[name].macBytes);
    },
  );

  // FIPS 197: AES has keys of 128 and 256 bits, among others, and blocks of 128.
  test.each([
    ['AES_128_CMAC', 16],
    ['AES_256_CMAC', 32],
  ] as const)('%s has a key of %i bytes and a MAC of one block', (name, keyBytes) => {
    expect(ALGORITHMS[name]).toMatchObject({ keyBytes, macBytes: 16 });
  });
});
