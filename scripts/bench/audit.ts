import { join } from 'node:path';
import { compareInTurns } from './rounds.ts';
import type { Context, Outcome, Scenario } from './scenario.ts';
import { SdkLoad } from './sdk-load.ts';
import { createToken, type MeasuredServer, type SigildOptions, startSigild } from './servers.ts';
import { SigningClient } from './signing-client.ts';
import { UnaryLoad } from './unary-load.ts';

export const audit: Scenario = {
  name: 'audit',
  summary: 'unary and pipeline with every operation in an audit log, beside none',
  run,
};

interface Measured {
  readonly server: MeasuredServer;
  readonly client: SigningClient;
}

async function run(context: Context): Promise<Outcome> {
  const file = join(context.resources.temporaryFolder(), 'audit.log');
  const audited = await start({ audit: { file } }, context);
  const other = await start({}, context);
  const unary = await compareInTurns(
    [await unaryLoad('unary-audit', audited, context), await unaryLoad('unary', other, context)],
    context,
    (load) => load.run(),
  );
  const pipeline = await compareInTurns(
    [
      await pipelineLoad('pipeline-audit', audited, context),
      await pipelineLoad('pipeline', other, context),
    ],
    context,
    (load) => load.run(),
  );
  await audited.client.prove();
  return {
    rows: [...unary.rows, ...pipeline.rows],
    ratios: { ...unary.ratios, ...pipeline.ratios },
  };
}

/** A daemon on a token of its own. */
async function start(options: SigildOptions, { resources }: Context): Promise<Measured> {
  const server = await startSigild('sigild', resources, createToken(resources), options);
  return { server, client: await SigningClient.withKey(server, resources) };
}

function unaryLoad(name: string, { server, client }: Measured, context: Context) {
  return UnaryLoad.prepare({ ...server, name }, client, context);
}

async function pipelineLoad(name: string, { server, client }: Measured, context: Context) {
  return SdkLoad.prepare({ ...server, name }, await client.signedMessage(), context);
}
