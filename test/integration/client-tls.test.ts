import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../../src/client/client.ts';
import { type Authority, createAuthority, type KeyPair } from '../support/certificates.ts';
import { EVERYTHING, type RpcFixture, startRpc } from '../support/rpc-fixture.ts';

const data = Buffer.from('a message');

let folder: string;
let authority: Authority;
let pair: KeyPair;
let rpc: RpcFixture;
let address: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sigild-client-tls-'));
  authority = createAuthority(folder);
  pair = authority.issue('shop', { subject: '/CN=shop', usage: 'clientAuth' });
  const server = authority.issue('server', {
    subject: '/CN=sigild',
    names: 'DNS:localhost',
    usage: 'serverAuth',
  });
  rpc = startRpc({ grants: { shop: EVERYTHING } });
  rpc.token.writeKey('shop', Buffer.alloc(32));
  const listening = await rpc.server.listen({
    address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    identity: { kind: 'certificate', tls: { ...server, clientCa: authority.certificate } },
  });
  address = `localhost:${listening.split(':')[1]}`;
});

afterAll(async () => {
  await rpc?.close();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

function tlsOf(trusted: Authority) {
  return {
    ca: readFileSync(trusted.certificate),
    cert: readFileSync(pair.certificate),
    key: readFileSync(pair.key, 'utf8'),
  };
}

test('is known to the daemon by its certificate', async () => {
  const client = connect({ address, tls: tlsOf(authority) });

  await expect(client.key('shop').sign(data)).resolves.toMatchObject({ version: 1 });

  expect(rpc.requests.map(({ client: name }) => name)).toEqual(['shop']);
  await client.close();
});

test('tells nothing to a daemon whose authority it does not trust', async () => {
  const before = rpc.requests.length;
  const client = connect({ address, tls: tlsOf(createAuthority(folder, 'other')) });

  const call = client.key('shop').sign(data, { deadlineMs: 500 });

  await expect(call).rejects.toMatchObject({
    reason: 'DEADLINE_EXCEEDED',
    message: expect.stringContaining('cannot be reached'),
  });
  expect(rpc.requests.length).toBe(before);
  await client.close();
});
