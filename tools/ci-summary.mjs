// Prints CI's closing line from Jest's JSON report: `N passed, N failed`.
import { readFileSync } from 'node:fs';

const [report, otherFailures] = process.argv.slice(2);
let passed = 0;
let failed = 0;
try {
  const results = JSON.parse(readFileSync(report, 'utf8'));
  passed = results.numPassedTests;
  // A suite that does not even load has no failed test, and is no success.
  failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
} catch (error) {
  console.error(`no test report: ${error.message}`);
}
if (passed === 0 || (failed === 0 && otherFailures !== '0')) failed += 1;
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
