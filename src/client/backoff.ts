const FIRST_MS = 25;
const LONGEST_MS = 1_000;

/** A daemon, or what stands in its place, cannot ask for longer. */
const LONGEST_ASKED_MS = 60_000;

/**
 * How long to wait before a request is repeated: twice as long after each failure, and never the
 * same for two clients, so that those whom one event made fail do not come back as one.
 *
 * @param failures how often it has failed, from 1
 * @param retryAfterMs the least that the daemon asks for; a minute counts at the most
 */
export function backoffMs(failures: number, retryAfterMs = 0): number {
  const ceilingMs = Math.min(FIRST_MS * 2 ** (failures - 1), LONGEST_MS);
  const backoff = ceilingMs * (0.5 + Math.random() / 2);
  const askedMs = Math.min(retryAfterMs, LONGEST_ASKED_MS);
  return Math.max(backoff, askedMs * (1 + Math.random() / 10));
}
