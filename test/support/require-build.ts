import { existsSync } from 'node:fs';

const DIST = new URL('../../dist/', import.meta.url);

/**
 * Stops a run whose tests start the built programs when nothing has been built. Tests never build:
 * they would change dist/ under each other and under a running daemon.
 */
export function setup(): void {
  if (existsSync(DIST)) return;
  throw new Error(
    'dist/ is missing and these tests start what is in it: run `npm run build` first',
  );
}
