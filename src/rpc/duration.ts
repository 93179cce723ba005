import { fieldInvalid } from '../domain/errors.ts';
import type { Duration__Output } from '../generated/google/protobuf/Duration.ts';

/**
 * A span of time that a request gives: of none, or more.
 *
 * @returns milliseconds, of which what is left of the last one counts whole
 * @throws {SigildError} FIELD_INVALID, naming `field`
 */
export function decodeDuration(
  { seconds = 0, nanos = 0 }: Duration__Output,
  field: string,
): number {
  const ms = seconds * 1_000 + Math.ceil(nanos / 1e6);
  const isSound = seconds >= 0 && nanos >= 0 && nanos < 1e9 && Number.isSafeInteger(ms);
  if (isSound) return ms;
  throw fieldInvalid(field, 'must be a duration that is not negative');
}
