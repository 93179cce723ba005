import type { Log } from './lifecycle/log.ts';
import type { KeyCatalog } from './service/key-catalog.ts';
import { LeftoverRecords } from './service/leftover-records.ts';
import { changeOwn } from './service/own-change.ts';
import type { AuditLog, Token } from './service/ports.ts';

export interface RefreshingOptions {
  readonly catalog: KeyCatalog;
  readonly token: Pick<Token, 'removeRecords'>;
  readonly audit: AuditLog | undefined;
  readonly intervalMs: number;
  readonly log: Log;
}

/**
 * Bounds how long a change that another program makes on the token stays unseen.
 *
 * @returns ends it
 */
export function refreshRegularly({
  catalog,
  token,
  audit,
  intervalMs,
  log,
}: RefreshingOptions): () => void {
  const leftovers = new LeftoverRecords({
    catalog,
    token: {
      removeRecords: (key, stamps, signal) =>
        changeOwn(audit, { operation: 'RemoveRecords', key }, () =>
          token.removeRecords(key, stamps, signal),
        ),
    },
    onRemoved: (key, records) =>
      log.info({ key, records }, 'records that a crash has left were removed'),
  });
  const refresh = () =>
    catalog
      .refresh()
      .then(() => leftovers.look())
      .catch((error: unknown) => {
        log.debug({ err: error }, 'the keys on the token could not be listed');
      });
  void refresh();
  const timer = setInterval(refresh, intervalMs);
  return () => clearInterval(timer);
}
