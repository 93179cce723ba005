import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { v1 } from '../../src/rpc/proto.ts';
import { EVERYTHING, type RpcFixture, startRpc } from '../support/rpc-fixture.ts';
import { until } from '../support/wait.ts';

const item = { key: 'shop', data: Buffer.from('a message') };

/** The daemon lets a connection have so many, and reads as many in a turn of a client. */
const STREAMS_PER_CONNECTION = 100;

const CALLS = 40;

let rpc: RpcFixture;
let flood: ChildProcess | undefined;

afterEach(async () => {
  flood?.kill('SIGKILL');
  if (flood?.exitCode === null) await once(flood, 'exit');
  await rpc.close();
});

/** Has as many calls under way as the daemon lets it, from a process of its own. */
function startFlood(socketPath: string): ChildProcess {
  const message = v1.SignRequest.serialize(item);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.byteLength, 1);
  const file = join(rpc.folder, 'request');
  writeFileSync(file, Buffer.concat([prefix, message]));
  const options = [
    ...['--clients', '20', '--max-concurrent-streams', '1000', '--duration', '600'],
    ...['--data', file, '--base-uri', `unix:${socketPath}`],
    ...['--header', 'content-type: application/grpc', '--header', 'te: trailers'],
  ];
  const url = 'http://localhost/sigild.v1.SigningService/Sign';
  return spawn('h2load', [...options, url], { stdio: 'ignore' });
}

function requestsOf(client: string): number {
  return rpc.requests.filter((request) => request.client === client).length;
}

test('a client that offers thousands of requests keeps another waiting for a few turns of them', async () => {
  rpc = startRpc({ grants: { greedy: EVERYTHING }, limits: { maxInFlight: 5_000 } });
  rpc.token.writeKey('shop', Buffer.alloc(32));
  const polite = rpc.connect(await rpc.listen(), undefined, 30_000);
  await polite.sign(item);
  const identity = { kind: 'client', client: 'greedy' } as const;
  await rpc.listen('greedy.sock', { identity });
  flood = startFlood(join(rpc.folder, 'greedy.sock'));
  await until(() => requestsOf('greedy') > 2_000);

  const greedyMeanwhile: number[] = [];
  for (let called = 0; called < CALLS; called += 1) {
    const before = requestsOf('greedy');
    await polite.sign(item);
    greedyMeanwhile.push(requestsOf('greedy') - before);
  }

  greedyMeanwhile.sort((a, b) => a - b);
  expect(greedyMeanwhile[CALLS / 2]).toBeLessThanOrEqual(2 * STREAMS_PER_CONNECTION);
  expect(greedyMeanwhile.at(-1)).toBeLessThanOrEqual(10 * STREAMS_PER_CONNECTION);
});
