import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

/** What a checkout holds, and what has been built in it. */
const PARTS = [
  ...['package.json', 'package-lock.json', '.npmrc', 'tsconfig.json', 'vitest.config.ts'],
  ...['buf.yaml', 'native', 'proto', 'src', 'test', 'scripts', 'systemd', 'README.md', 'dist'],
];

/** What tools keep for themselves in node_modules; the rest with a dot says what is installed. */
const CACHES = ['.cache', '.vite', '.vite-temp', '.vitest'];

/** A copy of this checkout in a temporary folder, in which commands can be run as users run them. */
export interface Checkout {
  readonly path: string;
  remove(): void;
}

export function copyCheckout(): Checkout {
  const path = mkdtempSync(join(tmpdir(), 'sigild-checkout-'));
  copy(
    PARTS.map((part) => join(ROOT, part)),
    path,
  );
  copyModules(join(ROOT, 'node_modules'), join(path, 'node_modules'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/**
 * Links the files of packages, which nothing changes in place: npm removes and writes anew. Where
 * links are not possible, between file systems, they are copied.
 */
function copyModules(from: string, to: string): void {
  mkdirSync(to);
  const names = readdirSync(from).filter((name) => !CACHES.includes(name));
  const paths = (ofPackages: boolean) =>
    names.filter((name) => !name.startsWith('.') === ofPackages).map((name) => join(from, name));
  copy(paths(false), to);
  try {
    copy(paths(true), to, '--link');
  } catch {
    copy(paths(true), to);
  }
}

function copy(from: readonly string[], to: string, ...options: readonly string[]): void {
  execFileSync('cp', ['--archive', ...options, ...from, to], { stdio: 'pipe' });
}
