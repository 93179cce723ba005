import { connect as connectHttp2, constants } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { v1 } from '../../src/rpc/proto.ts';
import { sendRequest } from '../support/http2-client.ts';
import { type RpcFixture, startRpc } from '../support/rpc-fixture.ts';

let rpc: RpcFixture;
afterEach(() => rpc.close());

test('flood', async () => {
  rpc = startRpc({ limits: { maxInFlightPerClient: 50 } });
  const path = (await rpc.listen()).replace('unix:', '');
  rpc.token.writeKey('shop', Buffer.alloc(32));
  const release = rpc.token.hold();
  const session = connectHttp2('http://sigild', { createConnection: () => connectSocket(path) });
  session.on('error', (e) => console.log('session', e.message));
  session.on('goaway', (c) => console.log('goaway', c));
  const message = v1.SignRequest.serialize({ key: 'shop', data: Buffer.alloc(100) });
  let max = 0;
  for (let i = 0; i < 9; i++) {
    for (let j = 0; j < 100; j++) {
      const s = sendRequest(session, '/sigild.v1.SigningService/Sign', message);
      setTimeout(() => s.close(constants.NGHTTP2_CANCEL), 3);
    }
    await pause(1);
    max = Math.max(max, rpc.token.waiting);
  }
  await pause(300);
  const by: Record<string, number> = {};
  for (const r of rpc.requests) by[r.outcome] = (by[r.outcome] ?? 0) + 1;
  console.log(rpc.token.calls, max, rpc.token.waiting, by);
  release();
  session.destroy();
});
