import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Client, connect } from '../../src/client/client.ts';
import { peerMac, testPeer } from '../support/fake-agreement.ts';
import { type RpcFixture, startRpc } from '../support/rpc-fixture.ts';

const DATA = Buffer.from('a message');
const ALGORITHM = 'EC_AGREE_P384_HMAC_SHA384';

let rpc: RpcFixture;
let client: Client;

beforeEach(async () => {
  rpc = startRpc();
  client = connect({ address: await rpc.listen() });
  await client.keys.create('partner', ALGORITHM);
});

afterEach(async () => {
  await client.close();
  await rpc.close();
});

test('signs and verifies with the key that is agreed upon with a peer', async () => {
  const peer = testPeer(ALGORITHM);
  const key = client.key('partner');
  const { der, jwk } = await client.keys.publicKey('partner');

  const { signature, algorithm } = await key.sign(DATA, { peerPublicKey: peer.spki });

  expect(algorithm).toBe(ALGORITHM);
  expect(signature).toEqual(peerMac(ALGORITHM, peer, der, DATA));
  expect(await key.verify(DATA, signature, { peerPublicKey: peer.spki })).toEqual({
    valid: true,
    version: 1,
  });
  expect(jwk).toMatchObject({ kty: 'EC', crv: 'P-384' });
  expect(jwk.alg).toBeUndefined();
});

test('finds the peer by the name of its key', async () => {
  await client.keys.create('other', ALGORITHM);

  const { signature } = await client.key('partner').sign(DATA, { peerKey: 'other' });

  expect(await client.key('other').verify(DATA, signature, { peerKey: 'partner' })).toEqual({
    valid: true,
    version: 1,
  });
});

test('says that an agreement key needs a peer, also of calls that travel in frames', async () => {
  await expect(client.key('partner').sign(DATA)).rejects.toMatchObject({
    reason: 'FIELD_INVALID',
    message: expect.stringContaining('peer_public_key'),
  });
});

test('takes no text for a public key', async () => {
  const options = { peerPublicKey: 'text' as never };

  await expect(client.key('partner').sign(DATA, options)).rejects.toThrow(TypeError);
});
