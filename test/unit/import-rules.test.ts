import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** What a file may import, and what it may not. `a.ts` stands for any file of its folder. */
interface Rule {
  readonly allowed: readonly string[];
  readonly refused: readonly string[];
}

const RULES: Readonly<Record<string, Rule>> = {
  'src/main.ts': {
    allowed: [
      './daemon.ts',
      './config/a.ts',
      './domain/a.ts',
      './lifecycle/a.ts',
      './rpc/listener-error.ts',
      './service/start-failure.ts',
      'node:fs',
    ],
    refused: ['./rpc/a.ts', './pkcs11/a.ts', './service/a.ts', './token-host/a.ts', 'pino'],
  },
  'src/planted.ts': {
    allowed: ['./a.ts', './service/a.ts'],
    refused: ['./daemon.ts', './main.ts', './pkcs11/a.ts'],
  },
  'src/daemon.ts': {
    allowed: [
      './a.ts',
      './config/a.ts',
      './domain/a.ts',
      './lifecycle/a.ts',
      './metrics/a.ts',
      './rpc/a.ts',
      './service/a.ts',
      './token-host/hosted-token.ts',
      'node:fs/promises',
    ],
    refused: [
      './admin/a.ts',
      './main.ts',
      './pkcs11/a.ts',
      './token-host/host-process.ts',
      './token-host/lane-operations.ts',
      './token-host/session-lane.ts',
      '@grpc/grpc-js',
      'graphene-pk11',
      'pino',
    ],
  },
  'src/domain/planted.ts': {
    allowed: ['./a.ts'],
    refused: ['../service/a.ts', '../config/a.ts', './../service/a.ts', 'node:crypto', 'zod'],
  },
  'src/service/planted.ts': {
    allowed: ['./a.ts', '../domain/a.ts', 'node:crypto'],
    refused: [
      '../config/a.ts',
      '../lifecycle/a.ts',
      '../pkcs11/a.ts',
      '../rpc/a.ts',
      '../token-host/a.ts',
      '@grpc/grpc-js',
    ],
  },
  'src/pkcs11/planted.ts': {
    allowed: [
      './a.ts',
      '../domain/a.ts',
      '../service/ports.ts',
      '../service/reserved-text.ts',
      '../service/secret-wrapping.ts',
      '../service/start-failure.ts',
      '../service/token-values.ts',
      'graphene-pk11',
      'pkcs11js',
      'node:fs',
    ],
    refused: [
      '../service/signing-service.ts',
      '../config/a.ts',
      '../rpc/a.ts',
      '../token-host/a.ts',
    ],
  },
  'src/token-host/planted.ts': {
    allowed: [
      './a.ts',
      '../domain/a.ts',
      '../service/ports.ts',
      '../service/start-failure.ts',
      '../service/token-values.ts',
      'node:child_process',
    ],
    refused: [
      './host-process.ts',
      './lane-operations.ts',
      './session-lane.ts',
      '../pkcs11/a.ts',
      '../service/signing-service.ts',
      '../config/a.ts',
      '../rpc/a.ts',
      'graphene-pk11',
      'pkcs11js',
    ],
  },
  'src/token-host/host-process.ts': {
    allowed: ['./session-lane.ts', '../pkcs11/a.ts', '../domain/a.ts', '../service/ports.ts'],
    refused: ['../service/signing-service.ts', '../config/a.ts', '../rpc/a.ts', 'graphene-pk11'],
  },
  'src/token-host/lane-operations.ts': {
    allowed: ['./a.ts', '../pkcs11/a.ts', '../domain/a.ts'],
    refused: ['../service/signing-service.ts', '../config/a.ts', '../rpc/a.ts', 'pkcs11js'],
  },
  'src/token-host/session-lane.ts': {
    allowed: ['./a.ts', '../pkcs11/a.ts', '../domain/a.ts', 'node:worker_threads'],
    refused: ['../service/signing-service.ts', '../config/a.ts', '../rpc/a.ts', 'pkcs11js'],
  },
  'src/rpc/planted.ts': {
    allowed: [
      './a.ts',
      '../domain/a.ts',
      '../generated/signing.ts',
      '../generated/sigild/v1/Key.ts',
      '../service/a.ts',
      '@grpc/grpc-js',
      '@grpc/proto-loader',
      'grpc-health-check',
      'node:net',
    ],
    refused: [
      '../config/a.ts',
      '../lifecycle/a.ts',
      '../pkcs11/a.ts',
      '../token-host/a.ts',
      'pino',
    ],
  },
  'src/client/planted.ts': {
    allowed: [
      './a.ts',
      '../domain/a.ts',
      '../generated/signing.ts',
      '../generated/sigild/v1/Key.ts',
      '../rpc/error-details.ts',
      '../rpc/proto.ts',
      '../service/secret-wrapping.ts',
      '@grpc/grpc-js',
      'node:net',
    ],
    refused: [
      '../rpc/status.ts',
      '../service/ports.ts',
      '../config/a.ts',
      '../admin/a.ts',
      '@grpc/proto-loader',
      'commander',
    ],
  },
  'src/config/planted.ts': {
    allowed: ['./a.ts', '../domain/a.ts', '../service/access-policy.ts', 'node:fs', 'yaml', 'zod'],
    refused: ['../service/ports.ts', '../lifecycle/a.ts', '../rpc/a.ts', '../token-host/a.ts'],
  },
  'src/lifecycle/planted.ts': {
    allowed: ['./a.ts', '../domain/a.ts', '../service/ports.ts', 'node:net', 'pino', 'unix-dgram'],
    refused: ['../service/signing-service.ts', '../config/a.ts', '../rpc/a.ts', 'yaml'],
  },
  'src/admin/planted.ts': {
    allowed: [
      './a.ts',
      '../client/secret-import.ts',
      '../config/config-error.ts',
      '../config/environment.ts',
      '../config/plan.ts',
      '../config/tcp-address.ts',
      '../config/version.ts',
      '../domain/a.ts',
      '../generated/signing.ts',
      '../lifecycle/exit-codes.ts',
      '../pkcs11/login.ts',
      '../pkcs11/module.ts',
      '../pkcs11/token-initialization.ts',
      '../pkcs11/token-report.ts',
      '../pkcs11/token-selection.ts',
      '../rpc/error-details.ts',
      '../rpc/proto.ts',
      '../service/start-failure.ts',
      '@grpc/grpc-js',
      'commander',
      'node:fs',
    ],
    refused: [
      '../config/a.ts',
      '../lifecycle/a.ts',
      '../pkcs11/ck-rv.ts',
      '../pkcs11/token-session.ts',
      '../rpc/a.ts',
      '../service/a.ts',
      '../token-host/a.ts',
      'graphene-pk11',
      'pkcs11js',
      'pino',
      'zod',
    ],
  },
  'src/metrics/planted.ts': {
    allowed: ['./a.ts', '../domain/a.ts', '../service/ports.ts', 'node:os', 'prom-client'],
    refused: ['../service/signing-service.ts', '../rpc/a.ts', '../pkcs11/a.ts', 'pino'],
  },
};

/** Other ways to the same end. */
const DETOURS = {
  'a re-export': "export { planted } from '../rpc/a.ts';",
  'a dynamic import': "export const imported = await import('../rpc/a.ts');",
  'a type-only import': "import type { Planted } from '../rpc/a.ts';",
  'a type that imports': "export type P = import('../rpc/a.ts').Planted;",
  'process.env': "export const read = process.env['PLANTED'];",
  'an alias of process': 'export const { env } = process;',
  'node:process': "import { env as environment } from 'node:process';",
} as const;

/** What composes the daemon: src/main.ts alone imports it. */
const COMPOSERS = ['../daemon.ts', '../main.ts'];

const RULES_IN_QUESTION = ['plugin', 'lint/style/noProcessEnv', 'lint/style/noRestrictedImports'];

let workspace = '';

beforeAll(() => {
  workspace = mkdtempSync(path.join(tmpdir(), 'sigild-import-rules-'));
  for (const name of ['biome.jsonc', '.biome', 'package.json']) {
    cpSync(path.join(ROOT, name), path.join(workspace, name), { recursive: true });
  }
});

afterAll(() => rmSync(workspace, { recursive: true, force: true }));

test.each(Object.entries(RULES))('%s imports what it may and nothing else', (file, rule) => {
  const isNested = path.dirname(file) !== 'src';
  const refused = isNested ? [...rule.refused, ...COMPOSERS] : rule.refused;
  const specifiers = [...rule.allowed, ...refused];
  plant(
    file,
    specifiers.map((specifier) => `import '${specifier}';`),
  );

  const lines = refusedLines(file);

  expect(lines.map((line) => specifiers[line - 1])).toEqual(refused);
});

test.each(Object.entries(DETOURS))('%s does not get round the rules', (_, source) => {
  plant('src/service/detour.ts', [source]);

  expect(refusedLines('src/service/detour.ts')).toEqual([1]);
});

test('src/config alone reads the environment', () => {
  plant('src/config/environment.ts', [DETOURS['process.env']]);

  expect(refusedLines('src/config/environment.ts')).toEqual([]);
});

function plant(file: string, lines: readonly string[]): void {
  const target = path.join(workspace, file);
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, `${lines.join('\n')}\n`);
}

/** The lines of a planted file, each counted once, where biome refuses an import. */
function refusedLines(file: string): number[] {
  const { stdout } = spawnSync(
    path.join(ROOT, 'node_modules/.bin/biome'),
    ['lint', '--reporter=json', '--max-diagnostics=none', file],
    { cwd: workspace, encoding: 'utf8' },
  );
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: readonly Diagnostic[] };
  const lines = diagnostics
    .filter(({ category }) => RULES_IN_QUESTION.includes(category))
    .map(({ location }) => location.start.line);
  return [...new Set(lines)].sort((a, b) => a - b);
}

interface Diagnostic {
  readonly category: string;
  readonly location: { readonly start: { readonly line: number } };
}
