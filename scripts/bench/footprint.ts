import { setTimeout as pause } from 'node:timers/promises';
import { memoryOf } from './process-figures.ts';
import { Resources } from './resources.ts';
import type { Context, Outcome, Row, Scenario } from './scenario.ts';
import { createToken, type MeasuredServer, startBuiltDaemon, startSigild } from './servers.ts';
import { SigningClient } from './signing-client.ts';
import { median } from './statistics.ts';
import { UnaryLoad } from './unary-load.ts';

/** Until a process that was just started, or loaded, has come to rest. */
const SETTLE_MS = 1_000;

export const footprint: Scenario = {
  name: 'footprint',
  summary: 'the time from spawn to serving, and the memory of front and hosts',
  chart: ['startMs', 'residentMiB', 'proportionalMiB'],
  run,
};

async function run(context: Context): Promise<Outcome> {
  const start: Row = { name: 'start', startMs: median(await startTimesMs(context)) };
  const sigild = await startSigild('footprint', context.resources);
  await pause(SETTLE_MS);
  const idle = memoryRows(sigild, 'after start');
  const client = await SigningClient.withKey(sigild, context.resources);
  const load = await UnaryLoad.prepare(sigild, client, context);
  context.progress('loading it');
  await load.run();
  await pause(SETTLE_MS);
  return { rows: [start, ...idle, ...memoryRows(sigild, 'after unary load')], ratios: {} };
}

/** Starts and stops the daemon once a round. */
async function startTimesMs({ rounds, signal, resources, progress }: Context): Promise<number[]> {
  const token = createToken(resources);
  const times: number[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    signal.throwIfAborted();
    progress(`start ${round} of ${rounds}`);
    times.push(await startTimeMs(token));
  }
  return times;
}

async function startTimeMs(token: ReturnType<typeof createToken>): Promise<number> {
  const own = new Resources();
  try {
    const startedAtMs = performance.now();
    await startBuiltDaemon(token, own);
    return performance.now() - startedAtMs;
  } finally {
    await own.release();
  }
}

function memoryRows({ pid, hosts }: MeasuredServer, when: string): Row[] {
  return [{ name: 'front', pid }, ...hosts].map((measured) => ({
    name: `${measured.name} ${when}`,
    ...memoryOf(measured.pid),
  }));
}
