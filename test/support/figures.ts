import { basename } from 'node:path';
import { expect } from 'vitest';

/** Prints what a test has counted, on a line that begins with `figures of`. */
export function tellFigures(figures: Readonly<Record<string, number>>): void {
  const counted = Object.entries(figures).map(([what, count]) => `${what} ${count}`);
  const { currentTestName, testPath } = expect.getState();
  const test = currentTestName ?? basename(testPath ?? '');
  process.stdout.write(`figures of ${test}: ${counted.join(', ')}\n`);
}
