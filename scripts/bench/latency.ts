import { compareInTurns, type Sample } from './rounds.ts';
import type { Context, Outcome, Scenario } from './scenario.ts';
import { startEmpty, startSigild } from './servers.ts';
import { SigningClient } from './signing-client.ts';
import { percentile } from './statistics.ts';

/** Until the code of client and server is warm. */
const WARM_UP_SECONDS = 3;

const MS_PER_SECOND = 1_000;

export const latency: Scenario = {
  name: 'latency',
  summary: 'Sign for one caller, who waits for each answer, by a grpc-js client over a unix socket',
  run,
};

interface Caller {
  readonly name: string;
  readonly client: SigningClient;
}

async function run(context: Context): Promise<Outcome> {
  const { resources } = context;
  const sigild = await startSigild('latency', resources);
  const emptyServer = await startEmpty('server', resources);
  const client = await SigningClient.withKey(sigild, resources);
  const callers: Caller[] = [
    { name: sigild.name, client },
    { name: emptyServer.name, client: new SigningClient(emptyServer, resources) },
  ];
  for (const caller of callers) {
    context.progress(`warming up: ${caller.name}`);
    await measure(caller, WARM_UP_SECONDS, context.signal);
  }
  const outcome = await compareInTurns(callers, context, (caller) =>
    measure(caller, context.seconds, context.signal),
  );
  await client.prove();
  return outcome;
}

async function measure({ client }: Caller, seconds: number, signal: AbortSignal): Promise<Sample> {
  const durationsMs: number[] = [];
  const startedAtMs = performance.now();
  const endAtMs = startedAtMs + seconds * MS_PER_SECOND;
  let nowMs = startedAtMs;
  while (nowMs < endAtMs) {
    signal.throwIfAborted();
    await client.sign();
    const answeredAtMs = performance.now();
    durationsMs.push(answeredAtMs - nowMs);
    nowMs = answeredAtMs;
  }
  const sorted = Float64Array.from(durationsMs).sort();
  return {
    opsPerSecond: (durationsMs.length * MS_PER_SECOND) / (nowMs - startedAtMs),
    p50Ms: percentile(sorted, 0.5),
    p99Ms: percentile(sorted, 0.99),
    p999Ms: percentile(sorted, 0.999),
  };
}
