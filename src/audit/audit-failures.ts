import { SigildError } from '../domain/errors.ts';

/** Why the log counts as one that cannot be written. */
export function tooSlow(limitMs: number): Error {
  return new Error(`the disk has not taken lines within ${limitMs} ms`);
}

/** What callers are told. */
export function unavailable(what: string, cause?: unknown): SigildError {
  return new SigildError(
    'AUDIT_UNAVAILABLE',
    `nothing may be done that the audit log does not tell of: ${what}; try again`,
    { cause },
  );
}
