import { connect } from '../../src/client/client.ts';
import { connectBatchClient } from '../../test/support/batch-client.ts';
import { type Signer, signForSeconds } from './callers.ts';
import type { Resources } from './resources.ts';
import { compareInTurns, type Sample } from './rounds.ts';
import type { Context, Outcome, Scenario } from './scenario.ts';
import { type MeasuredServer, startEmpty, startSigild } from './servers.ts';
import { type SignedMessage, SigningClient } from './signing-client.ts';

/** Until the code of client and server is warm. */
const WARM_UP_SECONDS = 3;

/** As long as the other signers wait. */
const ANSWER_LIMIT_MS = 5_000;

export const latency: Scenario = {
  name: 'latency',
  summary: 'sign for one caller, who waits for each answer, over a unix socket',
  chart: ['p50Ms', 'p99Ms', 'p999Ms'],
  run,
};

interface NamedSigner extends Signer {
  readonly name: string;
}

async function run(context: Context): Promise<Outcome> {
  const { resources } = context;
  const sigild = await startSigild('sigild', resources);
  const emptyServer = await startEmpty('server', resources);
  const client = await SigningClient.withKey(sigild, resources);
  const emptyClient = new SigningClient(emptyServer, resources);
  const message = await client.signedMessage();
  const signers = [
    sdkSigner(sigild, message, resources),
    unarySigner('unary', client, message),
    pipelineSigner(sigild, message, resources),
    unarySigner(emptyServer.name, emptyClient, await emptyClient.signedMessage()),
  ];
  for (const signer of signers) {
    context.progress(`warming up: ${signer.name}`);
    await measure(signer, WARM_UP_SECONDS, context.signal);
  }
  const outcome = await compareInTurns(signers, context, (signer) =>
    measure(signer, context.seconds, context.signal),
  );
  await client.prove();
  return outcome;
}

async function measure(signer: Signer, seconds: number, signal: AbortSignal): Promise<Sample> {
  const { sample } = await signForSeconds(signer, { callers: 1, seconds, signal });
  return sample;
}

/** The TypeScript client. */
function sdkSigner(server: MeasuredServer, message: SignedMessage, resources: Resources) {
  const client = connect({ address: server.unix });
  resources.add(() => client.close());
  const key = client.key(message.key);
  return named('sdk', message, () => key.sign(message.data));
}

/** The rpc Sign. */
function unarySigner(name: string, client: SigningClient, message: SignedMessage) {
  return named(name, message, () => client.sign());
}

/** A stream of the rpc Pipeline, with a frame of one item for each call. */
function pipelineSigner(server: MeasuredServer, message: SignedMessage, resources: Resources) {
  const client = connectBatchClient(server.unix);
  resources.add(() => client.close());
  const stream = client.pipeline();
  resources.add(() => stream.call.cancel());
  const frame = { sign: { key: message.key, data: [message.data] } };
  return named('pipeline', message, async () => {
    const limit = setTimeout(() => stream.call.cancel(), ANSWER_LIMIT_MS);
    const { sign } = await stream.send(frame).finally(() => clearTimeout(limit));
    return { signature: sign?.signatures[0] };
  });
}

function named(name: string, { mac }: SignedMessage, sign: Signer['sign']): NamedSigner {
  return { name, mac, sign };
}
