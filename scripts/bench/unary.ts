import { p11KitLoads } from './p11-kit.ts';
import { compareInTurns } from './rounds.ts';
import type { Context, Outcome, Scenario } from './scenario.ts';
import { createToken, startEmpty, startSigild } from './servers.ts';
import { SigningClient } from './signing-client.ts';
import { UnaryLoad } from './unary-load.ts';

export const unary: Scenario = {
  name: 'unary',
  summary: 'Sign for 64 callers at once, driven by h2load over TCP',
  run,
};

async function run(context: Context): Promise<Outcome> {
  const { resources } = context;
  const token = createToken(resources);
  const sigild = await startSigild('unary', resources, token);
  const client = await SigningClient.withKey(sigild, resources);
  const loads = [await UnaryLoad.prepare(sigild, client, context)];
  for (const kind of ['service', 'server'] as const) {
    const server = await startEmpty(kind, resources);
    loads.push(await UnaryLoad.prepare(server, new SigningClient(server, resources), context));
  }
  const p11Kit = await p11KitLoads(token, await client.signedMessage(), context);
  const outcome = await compareInTurns([...loads, ...p11Kit], context, (load) => load.run());
  await client.prove();
  return outcome;
}
