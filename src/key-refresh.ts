import type { Log } from './lifecycle/log.ts';
import type { KeyCatalog } from './service/key-catalog.ts';
import type { LeftoverRecords } from './service/leftover-records.ts';

/** Bounds how long a change that another program makes on the token stays unseen. */
export function refreshRegularly(
  catalog: KeyCatalog,
  leftovers: LeftoverRecords,
  intervalMs: number,
  log: Log,
): NodeJS.Timeout {
  const refresh = () =>
    catalog
      .refresh()
      .then(() => leftovers.look())
      .catch((error: unknown) => {
        log.debug({ err: error }, 'the keys on the token could not be listed');
      });
  void refresh();
  return setInterval(refresh, intervalMs);
}
