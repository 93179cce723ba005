// node count-tests.js RESULTS CHECK_STATUS TESTS_STATUS
//
// Prints `N passed, N failed` from what vitest's JSON reporter wrote to RESULTS, and exits with 1
// unless all passed. The statuses are the exit codes of `npm run check` and of vitest. Besides each
// failed test, one failure is counted for
//   - a test file that failed though none of its tests did (an import or a hook that threw),
//   - a vitest that failed though the results say otherwise (an unhandled rejection),
//   - a failed check.

import { readFileSync } from 'node:fs';

const [file = '', checkStatus, testsStatus] = process.argv.slice(2);
const results = JSON.parse(readFileSync(file, 'utf8'));

const passed = results.numPassedTests;
const skipped = results.numPendingTests + results.numTodoTests;
let failed = results.numFailedTests + results.testResults.filter(failedAsAWhole).length;
if (testsStatus !== '0' && failed === 0) failed = 1;
if (checkStatus !== '0') failed += 1;

console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exitCode = failed === 0 ? 0 : 1;

function failedAsAWhole({ status, assertionResults }) {
  return status === 'failed' && assertionResults.every((test) => test.status !== 'failed');
}
