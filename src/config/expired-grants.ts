import type { ClientConfig } from './config.ts';

/** Where grants stand that give nothing any more, such as `clients[0].grants[1]: expired at ...`. */
export function expiredGrants(clients: readonly ClientConfig[], nowMs = Date.now()): string[] {
  return clients.flatMap(({ grants }, client) =>
    grants.flatMap(({ expiresAtMs }, grant) =>
      expiresAtMs !== undefined && expiresAtMs <= nowMs
        ? [`clients[${client}].grants[${grant}]: expired at ${new Date(expiresAtMs).toISOString()}`]
        : [],
    ),
  );
}
