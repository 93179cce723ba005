import type { Refusal } from './listener.ts';

/** A refusal, and how many were kept quiet since the one that was told before. */
export type ReportedRefusal = Refusal & { readonly unreported: number };

/** A peer that tries over and over makes no more than one line in this time. */
const QUIET_MS = 10_000;

/** Tells of refused connections, of each listener's at most one in ten seconds. */
export function refusalReport(
  tell: (refusal: ReportedRefusal) => void,
  now: () => number = Date.now,
): (refusal: Refusal) => void {
  const listeners = new Map<string, { toldAtMs: number; unreported: number }>();
  return (refusal) => {
    const last = listeners.get(refusal.listener);
    if (last && now() - last.toldAtMs < QUIET_MS) {
      last.unreported += 1;
      return;
    }
    listeners.set(refusal.listener, { toldAtMs: now(), unreported: 0 });
    tell({ ...refusal, unreported: last?.unreported ?? 0 });
  };
}
