import { setTimeout as sleep } from 'node:timers/promises';

const LIMIT_MS = 30_000;
const POLL_MS = 25;

/** Waits until a condition holds. @throws {Error} after the limit */
export async function until(
  condition: () => boolean | Promise<boolean>,
  limitMs = LIMIT_MS,
): Promise<void> {
  for (const endMs = performance.now() + limitMs; performance.now() < endMs; ) {
    if (await condition()) return;
    await sleep(POLL_MS);
  }
  throw new Error(`it did not come about within ${limitMs} ms`);
}

/** Waits until a check throws nothing. @throws what it throws after the limit */
export async function eventually(check: () => unknown, limitMs = LIMIT_MS): Promise<void> {
  for (const endMs = performance.now() + limitMs; ; ) {
    try {
      await check();
      return;
    } catch (error) {
      if (performance.now() >= endMs) throw error;
    }
    await sleep(POLL_MS);
  }
}
