import pkcs11js from 'pkcs11js';
import { describe, expect, test } from 'vitest';
import type { ErrorReason } from '../../src/domain/errors.ts';
import {
  brokenResult,
  CryptokiError,
  ck,
  ckActive,
  toSigildError,
} from '../../src/pkcs11/ck-rv.ts';
import { softHsmModule } from '../support/softhsm.ts';

/** What pkcs11js throws from most functions. */
function pkcs11Error(rv: number, name = 'CKR_ANY'): Error {
  return new pkcs11js.Pkcs11Error(`${name}:${rv}`, rv, 'C_Any');
}

/** What pkcs11js throws from C_FindObjects and its like. */
function plainError(rv: number, name = 'CKR_ANY'): Error {
  return new Error(`${name}:${rv}`);
}

function failing(error: unknown): () => never {
  return () => {
    throw error;
  };
}

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}

function failureOf(error: unknown, run: typeof ck = ck): CryptokiError {
  const thrown = thrownBy(() => run('C_Any', failing(error)));
  if (thrown instanceof CryptokiError) return thrown;
  throw new Error('it is no CryptokiError', { cause: thrown });
}

type Row = readonly [name: string, session: string, next: string, reason: ErrorReason];

const UNKNOWN = ['replaced', 'check-canary', 'TOKEN_UNAVAILABLE'] as const;

const ROWS: readonly Row[] = [
  ['CKR_KEY_SIZE_RANGE', 'replaced', 'fail', 'ALGORITHM_UNSUPPORTED'],
  ['CKR_KEY_TYPE_INCONSISTENT', 'replaced', 'fail', 'ALGORITHM_UNSUPPORTED'],
  ['CKR_MECHANISM_INVALID', 'replaced', 'fail', 'ALGORITHM_UNSUPPORTED'],
  ['CKR_MECHANISM_PARAM_INVALID', 'replaced', 'fail', 'ALGORITHM_UNSUPPORTED'],
  ['CKR_KEY_FUNCTION_NOT_PERMITTED', 'kept', 'find-again', 'KEY_STATE_FORBIDS'],
  ['CKR_ATTRIBUTE_READ_ONLY', 'kept', 'fail', 'TOKEN_REFUSED'],
  ['CKR_ATTRIBUTE_SENSITIVE', 'kept', 'fail', 'TOKEN_REFUSED'],
  ['CKR_ATTRIBUTE_TYPE_INVALID', 'kept', 'fail', 'TOKEN_REFUSED'],
  ['CKR_ATTRIBUTE_VALUE_INVALID', 'kept', 'fail', 'TOKEN_REFUSED'],
  ['CKR_KEY_NOT_WRAPPABLE', 'kept', 'fail', 'TOKEN_REFUSED'],
  ['CKR_KEY_UNEXTRACTABLE', 'kept', 'fail', 'TOKEN_REFUSED'],
  ['CKR_TEMPLATE_INCOMPLETE', 'kept', 'fail', 'TOKEN_REFUSED'],
  ['CKR_TEMPLATE_INCONSISTENT', 'kept', 'fail', 'TOKEN_REFUSED'],
  ['CKR_TOKEN_WRITE_PROTECTED', 'kept', 'fail', 'TOKEN_REFUSED'],
  ['CKR_SESSION_READ_ONLY', 'kept', 'fail', 'TOKEN_REFUSED'],
  ['CKR_OBJECT_HANDLE_INVALID', 'replaced', 'find-again', 'KEY_NOT_FOUND'],
  ['CKR_KEY_HANDLE_INVALID', 'replaced', 'find-again', 'KEY_NOT_FOUND'],
  ['CKR_SESSION_CLOSED', 'replaced', 'retry', 'TOKEN_UNAVAILABLE'],
  ['CKR_SESSION_HANDLE_INVALID', 'replaced', 'retry', 'TOKEN_UNAVAILABLE'],
  ['CKR_OPERATION_ACTIVE', 'replaced', 'retry', 'TOKEN_UNAVAILABLE'],
  ['CKR_OPERATION_NOT_INITIALIZED', 'replaced', 'retry', 'TOKEN_UNAVAILABLE'],
  ['CKR_FUNCTION_CANCELED', 'replaced', 'retry', 'TOKEN_UNAVAILABLE'],
  ['CKR_USER_NOT_LOGGED_IN', 'replaced', 'replace-host', 'TOKEN_UNAVAILABLE'],
  ['CKR_DEVICE_REMOVED', 'replaced', 'replace-host', 'TOKEN_UNAVAILABLE'],
  ['CKR_TOKEN_NOT_PRESENT', 'replaced', 'replace-host', 'TOKEN_UNAVAILABLE'],
  ['CKR_TOKEN_NOT_RECOGNIZED', 'replaced', 'replace-host', 'TOKEN_UNAVAILABLE'],
  ['CKR_SLOT_ID_INVALID', 'replaced', 'replace-host', 'TOKEN_UNAVAILABLE'],
  ['CKR_CRYPTOKI_NOT_INITIALIZED', 'replaced', 'replace-host', 'TOKEN_UNAVAILABLE'],
  ['CKR_PIN_INCORRECT', 'kept', 'wrong-pin', 'TOKEN_UNAVAILABLE'],
  ['CKR_PIN_INVALID', 'kept', 'wrong-pin', 'TOKEN_UNAVAILABLE'],
  ['CKR_PIN_LEN_RANGE', 'kept', 'wrong-pin', 'TOKEN_UNAVAILABLE'],
  ['CKR_PIN_EXPIRED', 'kept', 'wrong-pin', 'TOKEN_UNAVAILABLE'],
  ['CKR_PIN_LOCKED', 'kept', 'wrong-pin', 'TOKEN_UNAVAILABLE'],
  ['CKR_USER_PIN_NOT_INITIALIZED', 'kept', 'wrong-pin', 'TOKEN_UNAVAILABLE'],
  ['CKR_SESSION_COUNT', 'kept', 'fail', 'POOL_SATURATED'],
  ['CKR_DEVICE_MEMORY', 'kept', 'retry', 'TOKEN_FULL'],
  ['CKR_DEVICE_ERROR', ...UNKNOWN],
  ['CKR_GENERAL_ERROR', ...UNKNOWN],
  ['CKR_FUNCTION_FAILED', ...UNKNOWN],
  ['CKR_ARGUMENTS_BAD', ...UNKNOWN],
];

/** Codes that pkcs11js 2.1.7 has no name for. */
const NUMBERS: readonly [title: string, rv: number, ...verdict: readonly string[]][] = [
  ['CKR_ACTION_PROHIBITED', 0x1b, 'kept', 'fail', 'TOKEN_REFUSED'],
  ['the first code of a vendor', 0x8000_0000, ...UNKNOWN],
  ['a code of a vendor', 0x8000_0385, ...UNKNOWN],
  ['the last code of a vendor', 0xffff_ffff, ...UNKNOWN],
  ['a code that no standard names', 0x7777, ...UNKNOWN],
];

function numberOf(name: string): number {
  const rv = new Map<string, unknown>(Object.entries(pkcs11js)).get(name);
  if (typeof rv !== 'number') throw new Error(`pkcs11js does not know ${name}`);
  return rv;
}

describe('what follows from a return value', () => {
  test.each(ROWS)(
    '%s: the session is %s, next is %s, the reason %s',
    (name, session, next, reason) => {
      const rv = numberOf(name);

      for (const error of [pkcs11Error(rv, name), plainError(rv, name)]) {
        expect(failureOf(error)).toMatchObject({ rv, verdict: { session, next, reason } });
      }
    },
  );

  test.each(NUMBERS)('%s', (_, rv, session, next, reason) => {
    for (const error of [pkcs11Error(rv), plainError(rv)]) {
      expect(failureOf(error)).toMatchObject({ rv, verdict: { session, next, reason } });
    }
  });

  test('is decided by the number where the binding gives it a wrong name', () => {
    const error = failureOf(plainError(pkcs11js.CKR_TOKEN_NOT_PRESENT, 'CKR_VENDOR_DEFINED'));

    expect(error.verdict.next).toBe('replace-host');
  });
});

describe('between the start and the end of an operation', () => {
  test.each(ROWS)('%s costs the session', (name, _, next, reason) => {
    const error = failureOf(pkcs11Error(numberOf(name)), ckActive);

    expect(error.verdict).toEqual({ session: 'replaced', next, reason });
  });
});

describe('a call', () => {
  test.each([ck, ckActive])('that succeeds gives its result: $name', (run) => {
    expect(run('C_Any', () => 7)).toBe(7);
  });

  test.each([
    ['an error without a return value', new Error('no such file')],
    ['a TypeError', new TypeError('Wrong type of parameter')],
    ['an error of the binding that is no return value', new pkcs11js.NativeError('module.cpp:48')],
    ['an error of Node with a number for its code', new DOMException('aborted', 'AbortError')],
    ['a return value of 0', pkcs11Error(0)],
    ['what is no Error', 'CKR_GENERAL_ERROR:5'],
  ])('that throws %s throws just that', (_, error) => {
    for (const run of [ck, ckActive]) {
      expect(thrownBy(() => run('C_Any', failing(error)))).toBe(error);
    }
  });

  test('says which function failed, with the code as the standard names it', () => {
    const cause = pkcs11Error(pkcs11js.CKR_DEVICE_ERROR);

    const error = thrownBy(() => ck('C_Sign', failing(cause)));

    expect(error).toMatchObject({ message: 'C_Sign failed with CKR_DEVICE_ERROR (0x30)', cause });
  });

  test.each([
    [0x8000_0385, "C_Any failed with a vendor's code 0x80000385"],
    [0x7777, 'C_Any failed with 0x7777'],
  ])('gives the code %i no name that it does not have', (rv, message) => {
    expect(failureOf(pkcs11Error(rv)).message).toBe(message);
  });

  test('that gives an impossible result counts as a failed one of unknown cause', () => {
    const error = brokenResult('C_Sign', 'a MAC of 3 bytes');

    expect(error.verdict).toEqual({
      session: 'replaced',
      next: 'check-canary',
      reason: 'TOKEN_UNAVAILABLE',
    });
    expect(error.cause).toMatchObject({ message: 'a MAC of 3 bytes' });
  });
});

test('a caller hears the reason and the code, and not what is inside', () => {
  const error = failureOf(plainError(pkcs11js.CKR_DEVICE_MEMORY, 'CKR_DEVICE_MEMORY'));

  const told = toSigildError(error, 'creating key webhooks');

  expect(told).toMatchObject({
    reason: 'TOKEN_FULL',
    message: 'creating key webhooks: the token answered CKR_DEVICE_MEMORY (0x31)',
    cause: error,
  });
});

// Nothing has initialised the module here, so these calls fail as they do on a token.
describe('the binding', () => {
  test.each([
    ['C_GetInfo', (module: pkcs11js.PKCS11) => module.C_GetInfo()],
    ['C_FindObjects', (module: pkcs11js.PKCS11) => module.C_FindObjects(Buffer.alloc(8), 1)],
  ])('throws what is understood: %s', (name, call) => {
    const module = new pkcs11js.PKCS11();
    module.load(softHsmModule());

    try {
      const error = thrownBy(() => ck(name, () => call(module)));

      expect(error).toMatchObject({ rv: pkcs11js.CKR_CRYPTOKI_NOT_INITIALIZED });
    } finally {
      module.close();
    }
  });
});
