import { isAbsolute } from 'node:path';
import * as z from 'zod';
import { ALGORITHM_NAMES } from '../domain/algorithm.ts';
import { isNamePattern } from '../domain/name-pattern.ts';

// Each schema says in one sentence what it allows, whatever stands in its place.

export function integer(min: number, max: number) {
  const message = `must be an integer from ${min} to ${max}`;
  return z.int(message).min(min, message).max(max, message);
}

/** @param what what it must be, for the message */
export function text(what: string, allows: (value: string) => boolean) {
  const message = `must be ${what}`;
  return z.string(message).refine(allows, message);
}

export function textOfBytes(max: number) {
  return text(
    `text of 1 to ${max} bytes without control characters (in quotes when it looks like a number)`,
    (value) => isPrintable(value) && Buffer.byteLength(value) <= max,
  );
}

export function oneOf<const Name extends string>(names: readonly Name[]) {
  return z.enum(names, `must be one of ${names.join(', ')}`);
}

/** A list of at least one item. */
export function list<Item extends z.ZodType>(item: Item, what: string) {
  const message = `must be a list of at least one ${what}`;
  return z.array(item, message).min(1, message);
}

/** A map with no other keys than these. */
export function map<Shape extends z.ZodRawShape>(shape: Shape) {
  const keys = Object.keys(shape).join(', ');
  return z.strictObject(shape, {
    error: ({ code }) =>
      code === 'unrecognized_keys'
        ? `unknown key; allowed here: ${keys}`
        : `must be a map of ${keys}`,
  });
}

/** A map of settings that all have defaults; left out, it is a map of all the defaults. */
export function section<Shape extends z.ZodRawShape>(shape: Shape) {
  return map(shape).prefault({} as z.input<ReturnType<typeof map<Shape>>>);
}

export const absolutePath = text(
  'an absolute path',
  (value) => isAbsolute(value) && !value.includes('\0'),
);

export const algorithm = oneOf(ALGORITHM_NAMES);

export const pattern = text(
  'a pattern: 1 to 63 characters of [A-Za-z0-9._-], with * for any number of characters',
  isNamePattern,
);

/** The name that a listener or a certificate gives a client; long enough for a SPIFFE id. */
export const clientName = textOfBytes(255);

/** A point in time, as milliseconds since 1970. */
export const timestamp = z.iso
  .datetime({
    offset: true,
    error: 'must be a time with its zone as RFC 3339 has it, for instance 2027-01-01T00:00:00Z',
  })
  .transform((value) => Date.parse(value));

function isPrintable(value: string): boolean {
  return value !== '' && !/\p{Cc}/u.test(value);
}

export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * For rules about several keys of one map: they run whatever is wrong with single keys, so that all
 * problems are told at once.
 */
export const ON_ANY_MAP = { when: ({ value }: { value: unknown }) => isMap(value) };

/** Adds an issue when a map has none of the keys, or several. */
export function demandOneOf(
  keys: readonly string[],
  value: Readonly<Record<string, unknown>>,
  context: { addIssue(message: string): void },
): void {
  const present = keys.filter((key) => key in value);
  if (present.length === 1) return;
  context.addIssue(
    `needs exactly one of ${keys.join(', ')}; it has ${present.join(', ') || 'none'}`,
  );
}
