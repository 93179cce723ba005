const UNIT_MS = {
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
} as const;

const DURATION = /^([1-9][0-9]{0,8})([dhms])$/;

/** How a duration is written, for messages. */
export const DURATION_FORM = 'a whole number of days, hours, minutes or seconds, such as 90d or 12h';

/** @returns milliseconds; undefined for what is no duration: see {@link DURATION_FORM} */
export function parseDuration(text: string): number | undefined {
  const [, count, unit] = DURATION.exec(text) ?? [];
  return count && unit ? Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS] : undefined;
}

/** In the largest unit of which it is a whole number; parts of a second are left out. */
export function durationText(ms: number): string {
  const units = Object.entries(UNIT_MS);
  const [unit, unitMs] = units.find(([, each]) => ms >= each && ms % each === 0) ?? ['s', 1_000];
  return `${Math.floor(ms / unitMs)}${unit}`;
}
