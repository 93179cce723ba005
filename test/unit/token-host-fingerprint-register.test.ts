import { describe, expect, test } from 'vitest';
import { FINGERPRINT_BYTES, type Fingerprint } from '../../src/domain/fingerprint.ts';
import type { VersionRef } from '../../src/domain/key.ts';
import { FingerprintRegister } from '../../src/token-host/fingerprint-register.ts';

const webhooks: VersionRef = { key: 'webhooks', id: '1'.repeat(32) };
const payments: VersionRef = { key: 'payments', id: '2'.repeat(32) };

/** The fingerprint that a version has when its handle stands for this key. */
function fingerprint({ id }: VersionRef, key: number): Fingerprint {
  return { id, mac: Buffer.alloc(FINGERPRINT_BYTES, key) };
}

/** A register that knows the key of `webhooks` as number 1. */
function startRegister(): FingerprintRegister {
  const register = new FingerprintRegister();
  register.check([fingerprint(webhooks, 1)], [webhooks]);
  return register;
}

describe('an answer', () => {
  test('may be used when no key was loaded for it', () => {
    expect(startRegister().check([], [webhooks])).toBeUndefined();
  });

  test('may be used when its key is the one that the version had before', () => {
    expect(startRegister().check([fingerprint(webhooks, 1)], [webhooks])).toBeUndefined();
  });

  test('is not believed when its key is another one: its host is not to be trusted', () => {
    const register = startRegister();

    expect(() => register.check([fingerprint(webhooks, 2)], [webhooks])).toThrow(
      /another key than before for the version 1{32}/,
    );
    expect(register.check([fingerprint(webhooks, 1)], [webhooks])).toBeUndefined();
  });

  test('is not believed when it tells of a version that was not asked for', () => {
    expect(() => startRegister().check([fingerprint(payments, 1)], [webhooks])).toThrow(
      /not asked for/,
    );
  });

  test('is remembered by its bytes, whatever becomes of the memory that they came in', () => {
    const register = new FingerprintRegister();
    const memory = Buffer.alloc(FINGERPRINT_BYTES, 1);
    register.check([{ id: webhooks.id, mac: memory }], [webhooks]);

    memory.fill(2);

    expect(register.check([fingerprint(webhooks, 1)], [webhooks])).toBeUndefined();
  });
});

describe('a key that was replaced on the token', () => {
  /** A register to which two hosts have reported the same other key. */
  function startReplaced(): FingerprintRegister {
    const register = startRegister();
    expect(() => register.check([fingerprint(webhooks, 2)], [webhooks])).toThrow();
    register.check([fingerprint(webhooks, 2)], [webhooks]);
    return register;
  }

  test('is refused, and the second host that says so stays', () => {
    const register = startRegister();
    expect(() => register.check([fingerprint(webhooks, 2)], [webhooks])).toThrow();

    expect(register.check([fingerprint(webhooks, 2)], [webhooks])).toMatchObject({
      reason: 'TOKEN_REFUSED',
      message: expect.stringContaining('key webhooks'),
    });
  });

  test('stays refused, whatever is reported of it later', () => {
    const register = startReplaced();

    for (const fingerprints of [[], [fingerprint(webhooks, 1)], [fingerprint(webhooks, 2)]]) {
      expect(register.check(fingerprints, [webhooks])?.reason).toBe('TOKEN_REFUSED');
    }
  });

  test('leaves the other keys in service', () => {
    const register = startReplaced();

    expect(register.check([fingerprint(payments, 7)], [payments])).toBeUndefined();
  });

  test('spoils the answer that several versions of it were used for', () => {
    const register = startReplaced();
    const second: VersionRef = { key: 'webhooks', id: '3'.repeat(32) };

    expect(register.check([fingerprint(second, 4)], [second, webhooks])?.reason).toBe(
      'TOKEN_REFUSED',
    );
    expect(register.check([], [second])).toBeUndefined();
  });

  test('is not one of which two hosts say different things: neither is trusted', () => {
    const register = startRegister();

    expect(() => register.check([fingerprint(webhooks, 2)], [webhooks])).toThrow();
    expect(() => register.check([fingerprint(webhooks, 3)], [webhooks])).toThrow();
    expect(register.check([], [webhooks])).toBeUndefined();
  });
});

test('two keys of other tools may have one id', () => {
  const register = startRegister();
  const twin: VersionRef = { key: 'twin', id: webhooks.id };

  expect(register.check([fingerprint(twin, 2)], [twin])).toBeUndefined();
  expect(register.check([fingerprint(webhooks, 1)], [webhooks])).toBeUndefined();
});
