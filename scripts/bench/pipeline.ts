import { cryptokiLoads } from './cryptoki-load.ts';
import { p11KitLoads } from './p11-kit.ts';
import { compareInTurns } from './rounds.ts';
import type { Context, Outcome, Scenario } from './scenario.ts';
import { SdkLoad } from './sdk-load.ts';
import { createToken, startSigild } from './servers.ts';
import { SigningClient } from './signing-client.ts';

export const pipeline: Scenario = {
  name: 'pipeline',
  summary: 'sign by the TypeScript client, beside C programs with the same key on the same token',
  run,
};

async function run(context: Context): Promise<Outcome> {
  const { resources } = context;
  const token = createToken(resources);
  const sigild = await startSigild('pipeline', resources, token);
  const client = await SigningClient.withKey(sigild, resources);
  const message = await client.signedMessage();
  const sdk = await SdkLoad.prepare(sigild, message, context);
  const module = { file: token.module, environment: token.environment };
  const inProcess = (['session', 'token'] as const).flatMap((keyObject) =>
    cryptokiLoads(
      { name: `c-${keyObject}-object`, module, keyObject },
      { token, message, context },
    ),
  );
  const loads = [sdk, ...inProcess, ...(await p11KitLoads(token, message, context))];
  const outcome = await compareInTurns(loads, context, (load) => load.run());
  await sdk.prove();
  await client.prove();
  return outcome;
}
