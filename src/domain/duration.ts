/** As google.protobuf.Duration and google.protobuf.Timestamp have it. */
export interface SecondsAndNanos {
  readonly seconds: number;
  /** 0 to 999,999,999. */
  readonly nanos: number;
}

const NANOS_PER_MS = 1e6;

const UNITS_MS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

const DURATION = /^([0-9]{1,12})(d|h|m|s|ms)$/;

export function secondsAndNanos(ms: number): SecondsAndNanos {
  const seconds = Math.floor(ms / 1_000);
  return { seconds, nanos: Math.round((ms - seconds * 1_000) * NANOS_PER_MS) };
}

/** A field that is absent is 0. */
export function milliseconds({ seconds = 0, nanos = 0 }: Partial<SecondsAndNanos>): number {
  return seconds * 1_000 + nanos / NANOS_PER_MS;
}

/** @returns milliseconds of a number and its unit, such as 90d, 12h, 30m, 45s or 500ms; else undefined */
export function parseDuration(text: string): number | undefined {
  const [, count, unit] = DURATION.exec(text) ?? [];
  return unit === undefined ? undefined : Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS];
}

/** As {@link parseDuration} reads it, in the largest unit of which it is a whole number. */
export function durationText(ms: number): string {
  const [unit, unitMs] = Object.entries(UNITS_MS).find(([, size]) => ms % size === 0) ?? ['ms', 1];
  return `${ms / unitMs}${unit}`;
}

/** For people: in the largest unit of which it is at least one, the rest left out. */
export function roughDurationText(ms: number): string {
  const [unit, unitMs] = Object.entries(UNITS_MS).find(([, size]) => ms >= size) ?? ['s', 1_000];
  return `${Math.floor(ms / unitMs)}${unit}`;
}
