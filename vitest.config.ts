import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: availableParallelism(),
    // Generous, for machines with little to spare: what a test waits for has a bound of its own.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      project('unit'),
      project('contract', { built: true }),
      project('integration', { built: true }),
      project('e2e', { built: true }),
      project('slow', { built: true }),
    ],
  },
});

/** @param built whether tests of the folder start what the build has made */
function project(name: string, { built = false } = {}) {
  return {
    extends: true as const,
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      globalSetup: built ? ['test/support/require-build.ts'] : [],
    },
  };
}
