/** What this needs of the process. */
export interface HangupTarget {
  readonly stdout: { readonly isTTY: boolean };
  on(signal: 'SIGHUP', listener: () => void): unknown;
  off(signal: 'SIGHUP', listener: () => void): unknown;
}

/**
 * SIGHUP asks a daemon to read its configuration again. In a terminal it says that the terminal has
 * gone, and ends the process as ever.
 *
 * @returns gives the signal back
 */
export function onHangup(reload: () => void, target: HangupTarget = process): () => void {
  if (target.stdout.isTTY) return () => undefined;
  target.on('SIGHUP', reload);
  return () => target.off('SIGHUP', reload);
}
