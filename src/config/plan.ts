import * as z from 'zod';
import type { Algorithm } from '../domain/algorithm.ts';
import { parseDuration } from '../domain/duration.ts';
import { isKeyName } from '../domain/key.ts';
import { algorithm, map, text } from './fields.ts';
import { readYamlFile } from './yaml-file.ts';

/** A key as a plan wants it. What it leaves out is not asked for: an existing key keeps it as it is. */
export interface PlannedKey {
  readonly name: string;
  readonly algorithm: Algorithm;
  /** 0 for a key that is not rotated by itself. */
  readonly rotationPeriodMs: number | undefined;
  readonly destroyable: boolean | undefined;
}

/** The word for a key that is not rotated by itself. */
const NEVER = 'none';

const period = text(
  `a number and its unit, such as 90d or 12h, or ${NEVER}`,
  (value) => value === NEVER || parseDuration(value) !== undefined,
).transform((value) => parseDuration(value) ?? 0);

const KEY_NAME = 'a key name: 1 to 63 characters of [A-Za-z0-9._-], the first a letter or a digit';

const settings = map({
  algorithm,
  rotationPeriod: period.optional(),
  destroyable: z.boolean('must be true or false').optional(),
});

const plan = map({
  keys: z.record(text(KEY_NAME, isKeyName), settings, {
    error: ({ code }) =>
      code === 'invalid_key'
        ? `must be ${KEY_NAME}`
        : 'must be a map of key names and what each key shall be',
  }),
}).transform(({ keys }): readonly PlannedKey[] =>
  Object.entries(keys).map(([name, { algorithm, rotationPeriod, destroyable }]) => ({
    ...{ name, algorithm, destroyable },
    rotationPeriodMs: rotationPeriod,
  })),
);

/**
 * Reads a plan of keys: see {@link readYamlFile}.
 *
 * @returns in the order of the file
 * @throws {ConfigError} when the file cannot be read or any part of it is wrong
 */
export function loadPlan(file: string): readonly PlannedKey[] {
  return readYamlFile(file, plan, 'plan');
}
