import pkcs11js from 'pkcs11js';
import { type ErrorReason, SigildError } from '../domain/errors.ts';
import { StartFailure } from '../service/start-failure.ts';

/** What becomes of the session on which a call failed. */
type SessionFate = 'kept' | 'replaced';

/**
 * What happens next:
 * - `fail`: the caller gets the reason
 * - `retry`: sign and verify are tried once more, on the replaced session where it was replaced
 * - `find-again`: what is known of the object is dropped, and it is looked for once more
 * - `check-canary`: the caller gets the reason; the host is replaced when the canary key fails too
 * - `replace-host`: a fresh host process takes over
 * - `wrong-pin`: nobody logs in with this PIN again
 */
type NextStep = 'fail' | 'retry' | 'find-again' | 'check-canary' | 'replace-host' | 'wrong-pin';

/** From here on codes are a vendor's own. */
const CKR_VENDOR_DEFINED = 0x8000_0000;

interface Verdict {
  readonly session: SessionFate;
  readonly next: NextStep;
  readonly reason: ErrorReason;
}

const keptRefusal = { session: 'kept', next: 'fail', reason: 'TOKEN_REFUSED' } as const;
const changedState = { session: 'kept', next: 'find-again', reason: 'KEY_STATE_FORBIDS' } as const;
const unsupported = { session: 'replaced', next: 'fail', reason: 'ALGORITHM_UNSUPPORTED' } as const;
const staleHandle = { session: 'replaced', next: 'find-again', reason: 'KEY_NOT_FOUND' } as const;
const lostSession = { session: 'replaced', next: 'retry', reason: 'TOKEN_UNAVAILABLE' } as const;
const lostToken = {
  session: 'replaced',
  next: 'replace-host',
  reason: 'TOKEN_UNAVAILABLE',
} as const;
const wrongPin = { session: 'kept', next: 'wrong-pin', reason: 'TOKEN_UNAVAILABLE' } as const;
const full = { session: 'kept', next: 'retry', reason: 'TOKEN_FULL' } as const;

/** Any code that is not in the table: something in the token failed, of which nothing is known. */
const UNKNOWN: Verdict = { session: 'replaced', next: 'check-canary', reason: 'TOKEN_UNAVAILABLE' };

/** The one place where a Cryptoki return value gets its meaning. */
const VERDICTS: ReadonlyMap<number, Verdict> = new Map<number, Verdict>([
  [pkcs11js.CKR_KEY_SIZE_RANGE, unsupported],
  [pkcs11js.CKR_KEY_TYPE_INCONSISTENT, unsupported],
  [pkcs11js.CKR_MECHANISM_INVALID, unsupported],
  [pkcs11js.CKR_MECHANISM_PARAM_INVALID, unsupported],
  [pkcs11js.CKR_KEY_FUNCTION_NOT_PERMITTED, changedState],
  [pkcs11js.CKR_ATTRIBUTE_READ_ONLY, keptRefusal],
  [pkcs11js.CKR_ATTRIBUTE_SENSITIVE, keptRefusal],
  [pkcs11js.CKR_ATTRIBUTE_TYPE_INVALID, keptRefusal],
  [pkcs11js.CKR_ATTRIBUTE_VALUE_INVALID, keptRefusal],
  [pkcs11js.CKR_KEY_NOT_WRAPPABLE, keptRefusal],
  [pkcs11js.CKR_KEY_UNEXTRACTABLE, keptRefusal],
  [pkcs11js.CKR_TEMPLATE_INCOMPLETE, keptRefusal],
  [pkcs11js.CKR_TEMPLATE_INCONSISTENT, keptRefusal],
  [pkcs11js.CKR_TOKEN_WRITE_PROTECTED, keptRefusal],
  [pkcs11js.CKR_SESSION_READ_ONLY, keptRefusal],
  [0x1b /* CKR_ACTION_PROHIBITED, Cryptoki 2.40 */, keptRefusal],
  [pkcs11js.CKR_OBJECT_HANDLE_INVALID, staleHandle],
  [pkcs11js.CKR_KEY_HANDLE_INVALID, staleHandle],
  [pkcs11js.CKR_SESSION_CLOSED, lostSession],
  [pkcs11js.CKR_SESSION_HANDLE_INVALID, lostSession],
  [pkcs11js.CKR_OPERATION_ACTIVE, lostSession],
  [pkcs11js.CKR_OPERATION_NOT_INITIALIZED, lostSession],
  [pkcs11js.CKR_FUNCTION_CANCELED, lostSession],
  [pkcs11js.CKR_USER_NOT_LOGGED_IN, lostToken],
  [pkcs11js.CKR_DEVICE_REMOVED, lostToken],
  [pkcs11js.CKR_TOKEN_NOT_PRESENT, lostToken],
  [pkcs11js.CKR_TOKEN_NOT_RECOGNIZED, lostToken],
  [pkcs11js.CKR_SLOT_ID_INVALID, lostToken],
  [pkcs11js.CKR_CRYPTOKI_NOT_INITIALIZED, lostToken],
  [pkcs11js.CKR_PIN_INCORRECT, wrongPin],
  [pkcs11js.CKR_PIN_INVALID, wrongPin],
  [pkcs11js.CKR_PIN_LEN_RANGE, wrongPin],
  [pkcs11js.CKR_PIN_EXPIRED, wrongPin],
  [pkcs11js.CKR_PIN_LOCKED, wrongPin],
  [pkcs11js.CKR_USER_PIN_NOT_INITIALIZED, wrongPin],
  [pkcs11js.CKR_SESSION_COUNT, { session: 'kept', next: 'fail', reason: 'POOL_SATURATED' }],
  [pkcs11js.CKR_DEVICE_MEMORY, full],
]);

/** A failed Cryptoki call: the function, the return value and what follows from it. */
export class CryptokiError extends Error {
  readonly rv: number;
  readonly verdict: Verdict;

  constructor(call: string, rv: number, verdict: Verdict, cause?: unknown) {
    super(`${call} failed with ${rvName(rv)}`, { cause });
    this.name = 'CryptokiError';
    this.rv = rv;
    this.verdict = verdict;
  }
}

/**
 * Runs one Cryptoki call and turns what it throws into a {@link CryptokiError}.
 *
 * pkcs11js 2.1.7 throws a Pkcs11Error with a `code` from most functions and a plain Error with the
 * message "CKR_X:123" from C_FindObjects, C_SetAttributeValue, C_CreateObject and C_CopyObject; its
 * names of newer and of vendor codes are wrong. The number decides.
 */
export function ck<Result>(call: string, native: () => Result): Result {
  try {
    return native();
  } catch (error) {
    const rv = returnValue(error);
    if (rv === undefined) throw error;
    throw new CryptokiError(call, rv, verdictOf(rv), error);
  }
}

/**
 * As {@link ck}, for a call between an operation's Init and its end: the operation may have stayed
 * active, so the session is replaced whatever the code.
 */
export function ckActive<Result>(call: string, native: () => Result): Result {
  try {
    return native();
  } catch (error) {
    const rv = returnValue(error);
    if (rv === undefined) throw error;
    throw new CryptokiError(call, rv, { ...verdictOf(rv), session: 'replaced' }, error);
  }
}

/** A result that no working token gives, for instance a MAC of the wrong length. */
export function brokenResult(call: string, what: string): CryptokiError {
  return new CryptokiError(call, pkcs11js.CKR_GENERAL_ERROR, UNKNOWN, new Error(what));
}

/** Whether a call failed for a reason that has nothing to do with what was asked for. */
export function isLoss({ verdict: { next } }: CryptokiError): boolean {
  return next === 'retry' || next === 'replace-host' || next === 'wrong-pin';
}

function verdictOf(rv: number): Verdict {
  return VERDICTS.get(rv) ?? UNKNOWN;
}

function returnValue(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof pkcs11js.Pkcs11Error && error.code > 0) return error.code;
  const match = /CKR_\w+:(\d+)/.exec(error.message);
  return match ? Number(match[1]) : undefined;
}

/** What a caller is told of a failed Cryptoki call. */
export function toSigildError(error: CryptokiError, action: string): SigildError {
  return new SigildError(
    error.verdict.reason,
    `${action}: the token answered ${rvName(error.rv)}`,
    {
      cause: error,
    },
  );
}

/**
 * What sigilctl, which knows no Cryptoki, is told of a failure: a refused PIN is a StartFailure,
 * any other failed call a SigildError.
 *
 * @returns undefined for a defect
 */
export function plainFailure(error: unknown): SigildError | StartFailure | undefined {
  if (error instanceof StartFailure) return error;
  if (!(error instanceof CryptokiError)) return undefined;
  const { next, reason } = error.verdict;
  return next === 'wrong-pin'
    ? new StartFailure('wrong-pin', error.message, error)
    : new SigildError(reason, error.message, { cause: error });
}

const RV_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(pkcs11js)
    .filter(([name, value]) => name.startsWith('CKR_') && typeof value === 'number')
    .map(([name, value]) => [value as number, name]),
);

function rvName(rv: number): string {
  const hex = `0x${rv.toString(16)}`;
  if (rv >= CKR_VENDOR_DEFINED) return `a vendor's code ${hex}`;
  const name = RV_NAMES.get(rv);
  return name ? `${name} (${hex})` : hex;
}
