// Loaded into a process before its own code: measures how late its event loop turns. On SIGUSR2 it
// writes what it has seen since the signal before into the file that SIGILD_TEST_LATENESS_FILE names,
// a variable that no token host inherits.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

const INTERVAL_MS = 2;
const NS_PER_MS = 1e6;

const file = process.env['SIGILD_TEST_LATENESS_FILE'] ?? '';

/** Of each turn. */
let turns = [];
let last = now();

/** @returns the time, and for how long the main thread has run so far */
function now() {
  const [ranNs] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ');
  return { atMs: performance.now(), ranMs: Number(ranNs) / NS_PER_MS };
}

setInterval(() => {
  const { atMs, ranMs } = now();
  const lateMs = Math.max(0, atMs - last.atMs - INTERVAL_MS);
  turns.push({ lateMs, busyMs: Math.min(lateMs, ranMs - last.ranMs) });
  last = now();
}, INTERVAL_MS).unref();

process.on('SIGUSR2', () => {
  const late = turns.map(({ lateMs }) => lateMs).sort((a, b) => a - b);
  const busyMs = Math.max(0, ...turns.map((turn) => turn.busyMs));
  const lateP99Ms = late[Math.floor(late.length * 0.99)] ?? 0;
  writeFileSync(`${file}.new`, JSON.stringify({ lateP99Ms, busyMs }));
  renameSync(`${file}.new`, file);
  turns = [];
  last = now();
});
