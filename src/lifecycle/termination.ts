import { constants } from 'node:os';

export type TerminationSignal = 'SIGTERM' | 'SIGINT';

/** What this needs of the process. */
export interface SignalTarget {
  on(signal: TerminationSignal, listener: (signal: TerminationSignal) => void): unknown;
  off(signal: TerminationSignal, listener: (signal: TerminationSignal) => void): unknown;
  exit(code: number): unknown;
}

const SIGNALS: readonly TerminationSignal[] = ['SIGTERM', 'SIGINT'];

/**
 * The first signal begins the stop; a second one, of either kind, ends the process at once, as a
 * shell tells of a process that died by it: with 128 and the signal's number.
 *
 * @returns gives the signals back to whom they belonged
 */
export function onTermination(
  begin: (signal: TerminationSignal) => void,
  target: SignalTarget = process,
): () => void {
  let begun = false;
  const listener = (signal: TerminationSignal) => {
    if (begun) {
      target.exit(128 + constants.signals[signal]);
      return;
    }
    begun = true;
    begin(signal);
  };
  for (const signal of SIGNALS) target.on(signal, listener);
  return () => {
    for (const signal of SIGNALS) target.off(signal, listener);
  };
}
