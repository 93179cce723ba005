// Loaded into a process before its own code. It measures how late the event loop turns, less the time
// for which the kernel let the thread wait for a processor: on a machine that is shared, that is no
// fault of the process. On SIGUSR2 it writes the worst since the signal before into the file that
// SIGILD_TEST_LATENESS_FILE names, a variable that no token host inherits.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

const INTERVAL_MS = 2;
const NS_PER_MS = 1e6;

const file = process.env['SIGILD_TEST_LATENESS_FILE'] ?? '';

let worst = { ownMs: 0, lateMs: 0 };
let last = now();

/** @returns the time, and for how long the main thread has waited for a processor so far */
function now() {
  const [, waitedNs] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(
    ' ',
  );
  return { atMs: performance.now(), waitedMs: Number(waitedNs) / NS_PER_MS };
}

setInterval(() => {
  const { atMs, waitedMs } = now();
  const lateMs = atMs - last.atMs - INTERVAL_MS;
  const ownMs = lateMs - (waitedMs - last.waitedMs);
  worst = { ownMs: Math.max(worst.ownMs, ownMs), lateMs: Math.max(worst.lateMs, lateMs) };
  last = now();
}, INTERVAL_MS).unref();

process.on('SIGUSR2', () => {
  writeFileSync(`${file}.new`, JSON.stringify(worst));
  renameSync(`${file}.new`, file);
  worst = { ownMs: 0, lateMs: 0 };
});
