import { InvalidArgumentError } from 'commander';

const UNITS_MS = {
  d: 24 * 60 * 60 * 1_000,
  h: 60 * 60 * 1_000,
  m: 60 * 1_000,
  s: 1_000,
} as const;

/** Parses an option's argument: a whole number of days, hours, minutes or seconds, as `30d`. */
export function durationMs(text: string): number {
  const { count, unit } = /^(?<count>[0-9]{1,9})(?<unit>[dhms])$/.exec(text)?.groups ?? {};
  if (count === undefined) {
    throw new InvalidArgumentError('It must be a number with d, h, m or s, for instance 30d.');
  }
  return Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS];
}
