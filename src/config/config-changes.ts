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
  if (isDeepStrictEqual(before.map(withoutLimits), after.map(withoutLimits))) return undefined;
  const old = new Map(before.map((client) => [client.name, client]));
  const names = new Set(after.map(({ name }) => name));
  return {
    added: after.flatMap(({ name }) => (old.has(name) ? [] : [name])),
    removed: before.flatMap(({ name }) => (names.has(name) ? [] : [name])),
    changed: after.flatMap((client) => {
      const earlier = old.get(client.name);
      const isSame = !earlier || isDeepStrictEqual(withoutLimits(earlier), withoutLimits(client));
      return isSame ? [] : [client.name];
    }),
  };
}

function withoutLimits({ name, grants }: ClientConfig) {
  return { name, grants };
}

/**
 * The settings besides clients and their grants that are others, such as `log.level`, `listeners` or
 * `clients[].limits`. None of them counts before a restart.
 */
export function settingsForRestart(before: Config, after: Config): string[] {
  const others = differences({ ...before, clients: [] }, { ...after, clients: [] });
  const areSame = isDeepStrictEqual(limitsOf(before.clients), limitsOf(after.clients));
  return areSame ? others : [...others, 'clients[].limits'];
}

/** By client, of those that have any. */
function limitsOf(clients: readonly ClientConfig[]) {
  const limited = clients.filter(({ limits }) => Object.keys(limits).length > 0);
  return new Map(limited.map(({ name, limits }) => [name, limits]));
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
