import { isDeepStrictEqual } from 'node:util';
import type { ClientConfig, Config } from './config.ts';
import { isMap } from './fields.ts';

/** Names of clients. */
export interface ClientChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Those whose grants are others. */
  readonly changed: readonly string[];
}

/** @returns undefined where the clients and their grants are the same */
export function clientChanges(
  before: readonly ClientConfig[],
  after: readonly ClientConfig[],
): ClientChanges | undefined {
  if (isDeepStrictEqual(before, after)) return undefined;
  const old = new Map(before.map((client) => [client.name, client]));
  const names = new Set(after.map(({ name }) => name));
  return {
    added: after.flatMap(({ name }) => (old.has(name) ? [] : [name])),
    removed: before.flatMap(({ name }) => (names.has(name) ? [] : [name])),
    changed: after.flatMap((client) => {
      const earlier = old.get(client.name);
      return earlier && !isDeepStrictEqual(earlier, client) ? [client.name] : [];
    }),
  };
}

/**
 * The settings besides `clients` that are others, such as `log.level` or `listeners`. None of them
 * counts before a restart.
 */
export function settingsForRestart(before: Config, after: Config): string[] {
  return differences({ ...before, clients: [] }, { ...after, clients: [] });
}

function differences(before: object, after: object, prefix = ''): string[] {
  const [old, new_] = [new Map(Object.entries(before)), new Map(Object.entries(after))];
  return [...new Set([...old.keys(), ...new_.keys()])].flatMap((key) => {
    const [left, right]: readonly unknown[] = [old.get(key), new_.get(key)];
    if (isDeepStrictEqual(left, right)) return [];
    const isSection = prefix === '' && isMap(left) && isMap(right);
    return isSection ? differences(left, right, `${key}.`) : [prefix + key];
  });
}
