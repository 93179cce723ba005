import type { ClientConfig } from './config/config.ts';
import { namePattern } from './domain/name-pattern.ts';
import type { Grant } from './service/access-policy.ts';

/** What the configuration grants, by client. */
export function clientGrants(
  clients: readonly ClientConfig[],
): ReadonlyMap<string, readonly Grant[]> {
  return new Map(
    clients.map(({ name, grants }) => [
      name,
      grants.map(({ keys, ...grant }) => ({ ...grant, keys: keys.map(namePattern) })),
    ]),
  );
}
