import { InvalidArgumentError } from 'commander';
import type { AuditLine } from '../domain/audit-line.ts';
import { parseDuration } from '../domain/duration.ts';

/** What a line must say; what is not given does not matter. */
export interface AuditFilter {
  readonly client?: string;
  readonly key?: string;
  readonly operation?: string;
  readonly outcome?: string;
  /** Milliseconds since 1970: from then on. */
  readonly since?: number;
  /** Milliseconds since 1970: before then. */
  readonly until?: number;
}

const TEXTS = ['client', 'key', 'operation', 'outcome'] as const;

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

export function passes(filter: AuditFilter, line: AuditLine): boolean {
  const { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY } = filter;
  const timeMs = Date.parse(line.time);
  if (timeMs < since || timeMs >= until) return false;
  const said = new Map<string, unknown>(Object.entries(line));
  return TEXTS.every((name) => filter[name] === undefined || filter[name] === said.get(name));
}

/** Parses an option's argument: a time, or how long ago it was. @returns milliseconds since 1970 */
export function timeOf(text: string): number {
  const agoMs = parseDuration(text);
  if (agoMs !== undefined) return Date.now() - agoMs;
  const timeMs = RFC_3339.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(timeMs)) return timeMs;
  throw new InvalidArgumentError('It must be a time such as 2026-11-22T20:46:00Z, or 90m for ago.');
}
