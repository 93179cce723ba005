import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../src/config/config.ts';
import { ConfigError } from '../../src/config/config-error.ts';
import type { Environment } from '../../src/config/environment.ts';
import { loadConfig } from '../../src/config/load-config.ts';

/** Every required setting, and no other. */
export const MINIMAL = `token:
  module: /usr/lib/module.so
  label: prod
  pinFile: /etc/sigild/pin
listeners:
  - unix: /run/sigild/sigild.sock
    client: backend
clients:
  - name: backend
    grants:
      - keys: ["*"]
        operations: [sign]
`;

/** Loads a configuration that is written as a text. */
export function load(text: string, environment: Environment = {}): Config {
  return inFile(text, (file) => loadConfig(file, environment));
}

/** What {@link load} complains of, with `FILE` in place of the file's name. */
export function problemsOf(text: string, environment: Environment = {}): readonly string[] {
  return inFile(text, (file) => {
    try {
      loadConfig(file, environment);
      return [];
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return error.messages.map((message) => message.replace(file, 'FILE'));
    }
  });
}

function inFile<Result>(text: string, use: (file: string) => Result): Result {
  const folder = mkdtempSync(join(tmpdir(), 'sigild-config-'));
  const file = join(folder, 'config.yaml');
  try {
    writeFileSync(file, text);
    return use(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
