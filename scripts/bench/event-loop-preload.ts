// Loaded into the front before its own code. On SIGUSR2 it writes how late the event loop was since
// the signal before into the file that SIGILD_BENCH_DELAY_FILE names, a variable that no token host
// inherits.

import { renameSync, writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 1;

const NS_PER_MS = 1e6;

const file = process.env['SIGILD_BENCH_DELAY_FILE'] ?? '';
const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
histogram.enable();

process.on('SIGUSR2', () => {
  // What it counts is the time between two rings of a timer.
  const p99Ms = Math.max(0, histogram.percentile(99) / NS_PER_MS - RESOLUTION_MS);
  histogram.reset();
  writeFileSync(`${file}.new`, JSON.stringify({ p99Ms }));
  renameSync(`${file}.new`, file);
});
