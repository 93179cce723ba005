const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Feeds the service manager's watchdog from the event loop at half the silence that it allows, so
 * that a daemon whose loop stands still is ended.
 *
 * @param limitMs the longest silence; undefined when nobody watches
 * @param feed is not called again before its promise settles; must not reject
 * @returns stops the feeding
 */
export function startWatchdog(limitMs: number | undefined, feed: () => Promise<void>): () => void {
  if (limitMs === undefined) return () => {};
  let feeding = false;
  const timer = setInterval(
    async () => {
      if (feeding) return;
      feeding = true;
      await feed();
      feeding = false;
    },
    Math.min(limitMs / 2, LONGEST_TIMER_MS),
  );
  timer.unref();
  return () => clearInterval(timer);
}
