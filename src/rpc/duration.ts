import { milliseconds, type SecondsAndNanos } from '../domain/duration.ts';
import { fieldInvalid } from '../domain/errors.ts';

const NANOS_PER_S = 1e9;

/**
 * @returns milliseconds; undefined where the field is absent
 * @throws {SigildError} FIELD_INVALID
 */
export function decodeDuration(
  duration: Partial<SecondsAndNanos> | null | undefined,
  field: string,
): number | undefined {
  if (!duration) return undefined;
  const { seconds = 0, nanos = 0 } = duration;
  const ms = milliseconds(duration);
  if (seconds >= 0 && nanos >= 0 && nanos < NANOS_PER_S && Number.isSafeInteger(ms)) return ms;
  throw fieldInvalid(field, 'must be a duration of whole milliseconds, and not negative');
}
