import { fieldInvalid } from './errors.ts';

/** How long a scheduled destruction can be taken back. */
export interface DestroyDelays {
  /** Where a request gives none, in milliseconds. */
  readonly destroyDelayMs: number;
  /** The shortest that a request may give, in milliseconds. */
  readonly minDestroyDelayMs: number;
}

/** 10 years. */
export const MAX_DESTROY_DELAY_MS = 3_650 * 24 * 60 * 60 * 1_000;

/**
 * @param delayMs what the request gives
 * @throws {SigildError} FIELD_INVALID
 */
export function checkedDelay(
  delayMs: number | undefined,
  { destroyDelayMs, minDestroyDelayMs }: DestroyDelays,
): number {
  const chosen = delayMs ?? destroyDelayMs;
  if (chosen >= minDestroyDelayMs && chosen <= MAX_DESTROY_DELAY_MS) return chosen;
  throw fieldInvalid(
    'delay',
    `must be ${minDestroyDelayMs / 1_000} s (keys.minDestroyDelayMs in the configuration) to ` +
      `${MAX_DESTROY_DELAY_MS / 1_000} s`,
  );
}
