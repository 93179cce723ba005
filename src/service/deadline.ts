import type { Cancellation } from '../domain/cancellation.ts';
import { SigildError } from '../domain/errors.ts';

/**
 * Runs work that several callers may share, under a limit of its own.
 *
 * @throws {SigildError} DEADLINE_EXCEEDED after `limitMs`
 */
export async function withLimit<Result>(
  limitMs: number,
  what: string,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(overdue(what, limitMs)), limitMs);
  try {
    return await work(limit.signal);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits for shared work no longer than this caller does; the work goes on for the others. */
export function untilAborted<Result>(work: Promise<Result>, signal: Cancellation): Promise<Result> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason);
    if (signal.aborted) leave();
    signal.addEventListener('abort', leave, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  });
}

function overdue(what: string, limitMs: number): SigildError {
  return new SigildError('DEADLINE_EXCEEDED', `${what} took longer than ${limitMs} ms; try again`);
}
