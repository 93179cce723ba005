import { expect, test } from 'vitest';
import { IMPORT_KEY_LIFE_MS, MAX_IMPORT_KEYS } from '../../src/domain/key-import.ts';
import { ImportKeyRegister } from '../../src/service/import-key-register.ts';

const NOT_FOUND = expect.objectContaining({ reason: 'IMPORT_KEY_NOT_FOUND' });

function register() {
  const clock = { nowMs: 1_000 };
  const keys = new ImportKeyRegister(() => clock.nowMs);
  return { clock, keys };
}

test('an import key can be taken once', () => {
  const { keys } = register();
  keys.add('one', 'admin', 'HMAC_SHA256');

  keys.take('one', 'admin', 'HMAC_SHA256');

  expect(() => keys.take('one', 'admin', 'HMAC_SHA256')).toThrow(NOT_FOUND);
});

test('nobody takes one that is unknown, or another client has', () => {
  const { keys } = register();
  keys.add('one', 'admin', 'HMAC_SHA256');

  expect(() => keys.take('other', 'admin', 'HMAC_SHA256')).toThrow(NOT_FOUND);
  expect(() => keys.take('one', 'shop', 'HMAC_SHA256')).toThrow(NOT_FOUND);
  expect(() => keys.take('one', 'admin', 'HMAC_SHA256')).not.toThrow();
});

test('one for another algorithm is not taken, and stays', () => {
  const { keys } = register();
  keys.add('one', 'admin', 'HMAC_SHA256');

  expect(() => keys.take('one', 'admin', 'HMAC_SHA512')).toThrow(
    expect.objectContaining({ reason: 'FIELD_INVALID' }),
  );
  expect(() => keys.take('one', 'admin', 'HMAC_SHA256')).not.toThrow();
});

test('one can be taken until it expires', () => {
  const { clock, keys } = register();
  const expireTimeMs = keys.add('one', 'admin', 'HMAC_SHA256');
  keys.add('two', 'admin', 'HMAC_SHA256');

  clock.nowMs = expireTimeMs - 1;
  expect(() => keys.take('one', 'admin', 'HMAC_SHA256')).not.toThrow();
  clock.nowMs = expireTimeMs;
  expect(() => keys.take('two', 'admin', 'HMAC_SHA256')).toThrow(NOT_FOUND);
  expect(expireTimeMs).toBe(1_000 + IMPORT_KEY_LIFE_MS);
});

test("a client's fifth takes the place of its first, and of nobody else's", () => {
  const { keys } = register();
  keys.add('other', 'shop', 'HMAC_SHA256');
  for (const id of ['1', '2', '3', '4', '5']) keys.add(id, 'admin', 'HMAC_SHA256');

  expect(() => keys.take('1', 'admin', 'HMAC_SHA256')).toThrow(NOT_FOUND);
  expect(() => keys.take('2', 'admin', 'HMAC_SHA256')).not.toThrow();
  expect(() => keys.take('other', 'shop', 'HMAC_SHA256')).not.toThrow();
});

test('the oldest of all goes when there are too many', () => {
  const { keys } = register();
  for (let client = 0; client <= MAX_IMPORT_KEYS; client++) {
    keys.add(`${client}`, `client ${client}`, 'HMAC_SHA256');
  }

  expect(() => keys.take('0', 'client 0', 'HMAC_SHA256')).toThrow(NOT_FOUND);
  expect(() => keys.take('1', 'client 1', 'HMAC_SHA256')).not.toThrow();
});
