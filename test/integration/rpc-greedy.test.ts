import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { startFlood } from '../support/h2load-flood.ts';
import { EVERYTHING, type RpcFixture, startRpc } from '../support/rpc-fixture.ts';
import { until } from '../support/wait.ts';

const item = { key: 'shop', data: Buffer.from('a message') };

/** The daemon lets a connection have so many, and reads as many in a turn of a client. */
const STREAMS_PER_CONNECTION = 16;

const CALLS = 40;

let rpc: RpcFixture;
let flood: ChildProcess | undefined;

afterEach(async () => {
  if (flood) {
    flood.kill('SIGKILL');
    await once(flood, 'exit');
    flood = undefined;
  }
  await rpc.close();
});

function requestsOf(client: string): number {
  return rpc.requests.filter((request) => request.client === client).length;
}

test('a client that offers thousands of requests keeps another waiting for a few turns of them', async () => {
  rpc = startRpc({ sessions: 8, grants: { greedy: EVERYTHING }, limits: { maxInFlight: 5_000 } });
  rpc.token.writeKey('shop', Buffer.alloc(32));
  const polite = rpc.connect(await rpc.listen(), undefined, 30_000);
  await polite.sign(item);
  const identity = { kind: 'client', client: 'greedy' } as const;
  const address = await rpc.listen('greedy.sock', { identity });
  flood = startFlood({ connections: 20, streams: 1_000, item, folder: rpc.folder, address });
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

test.each([
  { sessions: 1, streams: 16 },
  { sessions: 64, streams: 128 },
])(
  'a connection to a token of $sessions sessions carries $streams calls at once',
  async ({ sessions, streams }) => {
    rpc = startRpc({ sessions });
    const path = (await rpc.listen()).slice('unix:'.length);

    const session = connectHttp2('http://localhost', {
      createConnection: () => connectSocket(path),
    });
    const [settings] = await once(session, 'remoteSettings');
    session.destroy();

    expect(settings).toMatchObject({ maxConcurrentStreams: streams });
  },
);
