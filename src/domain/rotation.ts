import { SigildError } from './errors.ts';
import { isDestroyed, type Key } from './key.ts';

/** Ten years: longer than any key should sign. */
export const MAX_ROTATION_PERIOD_MS = 3_650 * 86_400_000;

/**
 * When the daemon makes a key's next version: a period after the newest one was made.
 *
 * @returns milliseconds since 1970; undefined for a key without a period, for one that is destroyed, and
 *   for one whose newest version another tool made, of which no time is known
 */
export function nextRotationMs(key: Key): number | undefined {
  const { versions, settings } = key;
  if (isDestroyed(key)) return undefined;
  const createTimeMs = versions[0]?.createTimeMs;
  if (settings.rotationPeriodMs === undefined || createTimeMs === undefined) return undefined;
  return createTimeMs + settings.rotationPeriodMs;
}

/**
 * Whether the daemon may rotate a key by itself: when no version is ACTIVE, an operator has taken
 * that decision, and a new version would undo it.
 *
 * @throws {SigildError} KEY_STATE_FORBIDS
 */
export function assertMayRotateItself({ name, versions }: Key): void {
  if (versions.some(({ state }) => state === 'ACTIVE')) return;
  throw new SigildError(
    'KEY_STATE_FORBIDS',
    `key ${name} is not rotated while none of its versions is ACTIVE; activate one, or rotate it`,
  );
}
