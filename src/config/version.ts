import { readFileSync } from 'node:fs';

/** The version of this package, which its programs go by. */
export function packageVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')).version;
}
