// A thread with an event loop of its own, which asks a daemon for its health over and over. For each
// message it answers with what it has seen since the last one.

import { parentPort, workerData } from 'node:worker_threads';
import { checkHealth, connectHealth } from '../../test/support/health-client.ts';

/** What it has seen. */
export interface HealthReport {
  /** How long each check took that was answered with SERVING. */
  readonly durationsMs: readonly number[];
  /** What became of the others. */
  readonly failures: readonly string[];
}

const INTERVAL_MS = 50;

const client = connectHealth(workerData.address);
let durationsMs: number[] = [];
let failures: string[] = [];
const running = new Set<Promise<void>>();

async function check(): Promise<void> {
  const startedAtMs = performance.now();
  try {
    const status = await checkHealth(client);
    if (status === 'SERVING') durationsMs.push(performance.now() - startedAtMs);
    else failures.push(status);
  } catch (error) {
    failures.push(String(error));
  }
}

// Checks do not wait for each other: one that is answered late must not keep the next from being so.
setInterval(() => {
  const checking = check().finally(() => running.delete(checking));
  running.add(checking);
}, INTERVAL_MS);

parentPort?.on('message', async () => {
  await Promise.all(running);
  const report: HealthReport = { durationsMs, failures };
  durationsMs = [];
  failures = [];
  parentPort?.postMessage(report);
});
