import pkcs11js from 'pkcs11js';
import { expect, test } from 'vitest';
import { tokenFailure } from '../../src/admin/token-failure.ts';
import { ck, plainFailure } from '../../src/pkcs11/ck-rv.ts';
import { StartFailure, type StartFailureKind } from '../../src/service/start-failure.ts';

const KINDS: readonly (readonly [StartFailureKind, string])[] = [
  ['configuration', 'CONFIGURATION'],
  ['unavailable', 'TOKEN_UNAVAILABLE'],
  ['wrong-pin', 'WRONG_PIN'],
  ['wrong-token', 'TOKEN_UNAVAILABLE'],
];

test.each(KINDS)('a module or token that is %s ends a command with %s', (kind, reason) => {
  const failure = tokenFailure(new StartFailure(kind, 'why'));

  expect(failure).toMatchObject({ reason, message: 'why' });
});

test.each([
  [pkcs11js.CKR_PIN_INCORRECT, 'WRONG_PIN', 'C_Any failed with CKR_PIN_INCORRECT (0xa0)'],
  [pkcs11js.CKR_DEVICE_ERROR, 'TOKEN_UNAVAILABLE', 'C_Any failed with CKR_DEVICE_ERROR (0x30)'],
  [pkcs11js.CKR_DEVICE_MEMORY, 'TOKEN_FULL', 'C_Any failed with CKR_DEVICE_MEMORY (0x31)'],
])('the return value %i ends a command with %s and is named', (rv, reason, message) => {
  const failure = tokenFailure(plainFailure(failedCall(rv)));

  expect(failure).toMatchObject({ reason, message });
});

test('a defect stays what it is', () => {
  const defect = new TypeError('nothing there');

  expect(plainFailure(defect)).toBeUndefined();
  expect(tokenFailure(defect)).toBe(defect);
});

function failedCall(rv: number): unknown {
  try {
    return ck('C_Any', () => {
      throw new pkcs11js.Pkcs11Error(`CKR_ANY:${rv}`, rv, 'C_Any');
    });
  } catch (error) {
    return error;
  }
}
