import { execFileSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AGREEMENT_ALGORITHM_NAMES, AGREEMENT_ALGORITHMS } from '../../src/domain/algorithm.ts';
import { BAD_PEERS } from '../support/bad-peers.ts';
import { connectBatchClient } from '../support/batch-client.ts';
import { connectClient, failureOf, type TestClient } from '../support/client.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { peerMac, testPeer } from '../support/fake-agreement.ts';
import { createSoftHsm, type SoftHsm } from '../support/softhsm.ts';

const DATA = randomBytes(500);
const P256 = 'EC_AGREE_P256_HMAC_SHA256';

let softHsm: SoftHsm;
let daemon: Daemon;
let client: TestClient;

beforeAll(async () => {
  softHsm = createSoftHsm();
  daemon = await startDaemon(softHsm);
  client = connectClient(daemon.addresses[0] as string, undefined, 20_000);
  for (const algorithm of AGREEMENT_ALGORITHM_NAMES) {
    await client.createKey({ key: algorithm, algorithm });
  }
});

afterAll(async () => {
  client?.close();
  await daemon?.stop();
  softHsm?.remove();
});

async function publicKeyOf(key: string, version?: number): Promise<Buffer> {
  const { publicKey } = await client.getPublicKey({ key, ...(version && { version }) });
  return publicKey?.der as Buffer;
}

/** Every object on the token. */
function objects(): string {
  return softHsm.pkcs11Tool('--list-objects');
}

describe.each(AGREEMENT_ALGORITHM_NAMES)('%s', (algorithm) => {
  test('makes the MACs that the peer makes, and accepts those of the peer', async () => {
    const peer = testPeer(algorithm);
    const asked = { key: algorithm, data: DATA, peerPublicKey: peer.spki };
    const expected = peerMac(algorithm, peer, await publicKeyOf(algorithm), DATA);

    expect(await client.sign(asked)).toMatchObject({ signature: expected, version: 1, algorithm });
    expect(await client.verify({ ...asked, signature: expected })).toMatchObject({ valid: true });
    expect(await client.verify({ ...asked, signature: Buffer.alloc(20) })).toMatchObject({
      valid: false,
    });
  });

  test('makes the MAC that openssl makes', async () => {
    const { curve, hash } = AGREEMENT_ALGORITHMS[algorithm];
    const path = (name: string) => join(softHsm.directory, `${algorithm}.${name}`);
    const openssl = (...args: readonly string[]) => execFileSync('openssl', args);
    openssl(
      'genpkey',
      '-algorithm',
      'EC',
      '-pkeyopt',
      `ec_paramgen_curve:${curve}`,
      '-out',
      path('key'),
    );
    openssl('pkey', '-in', path('key'), '-pubout', '-outform', 'DER', '-out', path('pub'));
    writeFileSync(path('own'), await publicKeyOf(algorithm));
    openssl(
      ...['pkeyutl', '-derive', '-inkey', path('key'), '-peerkey', path('own')],
      ...['-peerform', 'DER', '-out', path('secret')],
    );
    const expected = createHmac(hash, readFileSync(path('secret')))
      .update(DATA)
      .digest();

    const asked = { key: algorithm, data: DATA, peerPublicKey: readFileSync(path('pub')) };

    expect(await client.sign(asked)).toMatchObject({ signature: expected });
    expect(await client.verify({ ...asked, signature: expected })).toMatchObject({ valid: true });
  });
});

test('two keys of one daemon agree with each other by their names', async () => {
  await client.createKey({ key: 'left', algorithm: P256 });
  await client.createKey({ key: 'right', algorithm: P256 });

  const { signature = DATA } = await client.sign({
    key: 'left',
    data: DATA,
    peerKey: 'right',
  });

  const asked = { key: 'right', data: DATA, signature, peerKey: 'left' };
  expect(await client.verify(asked)).toMatchObject({ valid: true, version: 1 });
});

test('a key that was rotated signs with its new version and verifies with both', async () => {
  const peer = testPeer(P256);
  await client.createKey({ key: 'rotated', algorithm: P256 });
  const asked = { key: 'rotated', data: DATA, peerPublicKey: peer.spki };
  const { signature: old = DATA } = await client.sign(asked);
  await client.rotateKey({ key: 'rotated' });

  const fresh = await client.sign(asked);

  expect(fresh).toMatchObject({
    version: 2,
    signature: peerMac(P256, peer, await publicKeyOf('rotated', 2), DATA),
  });
  const macs = [old, fresh.signature ?? DATA];
  const verified = await Promise.all(
    macs.map((signature) => client.verify({ ...asked, signature })),
  );
  expect(verified).toMatchObject([{ version: 1 }, { version: 2 }]);
  expect(await failureOf(client.sign({ ...asked, version: 1 }))).toMatchObject({
    reason: 'KEY_STATE_FORBIDS',
  });
});

test('a version that is suspended agrees upon nothing, whatever it did before', async () => {
  const peer = testPeer(P256);
  const key = 'suspended';
  await client.createKey({ key, algorithm: P256 });
  const asked = { key, data: DATA, peerPublicKey: peer.spki };
  const signs = () => Promise.all(Array.from({ length: 32 }, () => client.sign(asked)));
  const [{ signature = DATA } = {}] = await signs();

  await client.updateKeyVersion({ key, version: 1, state: 'SUSPENDED' });

  const refused = { reason: 'KEY_STATE_FORBIDS' };
  expect(await failureOf(client.sign(asked))).toMatchObject(refused);
  expect(await failureOf(client.verify({ ...asked, signature }))).toMatchObject(refused);
  await client.updateKeyVersion({ key, version: 1, state: 'ACTIVE' });
  expect(await client.verify({ ...asked, signature })).toMatchObject({ valid: true });
});

describe('bad input', () => {
  const good = testPeer(P256).spki;

  test.each(BAD_PEERS)('%s is no peer, and the next one is served', async (_, peerPublicKey) => {
    const before = objects();
    const asked = { key: P256, data: DATA, peerPublicKey };
    const expected = {
      code: status.INVALID_ARGUMENT,
      ...{ reason: 'FIELD_INVALID', fields: ['peer_public_key'] },
    };

    expect(await failureOf(client.sign(asked))).toMatchObject(expected);
    expect(await failureOf(client.verify({ ...asked, signature: Buffer.alloc(32) }))).toMatchObject(
      expected,
    );

    expect(objects()).toBe(before);
    expect(await client.sign({ ...asked, peerPublicKey: good })).toMatchObject({ version: 1 });
  });

  test('a key is no peer of its own', async () => {
    const asked = { key: P256, data: DATA, peerPublicKey: await publicKeyOf(P256) };

    expect(await failureOf(client.sign(asked))).toMatchObject({
      code: status.INVALID_ARGUMENT,
      ...{ reason: 'FIELD_INVALID', fields: ['peer_public_key'] },
    });
  });

  test.each([
    ['no peer', { key: P256 }, 'FIELD_INVALID', 'peer_public_key'],
    ['two peers', { key: P256, peerPublicKey: good, peerKey: 'x' }, 'FIELD_INVALID', 'peer_key'],
    ['a name that is none', { key: P256, peerKey: '' }, 'FIELD_INVALID', 'peer_key'],
    ['a name of no key', { key: P256, peerKey: 'nobody' }, 'KEY_NOT_FOUND', undefined],
    [
      'a peer for a MAC key',
      { key: 'mac', peerPublicKey: good },
      'FIELD_INVALID',
      'peer_public_key',
    ],
    ['a MAC key as the peer', { key: P256, peerKey: 'mac' }, 'FIELD_INVALID', 'peer_key'],
  ] as const)('%s is refused', async (_, asked, reason, field) => {
    await client.createKey({ key: 'mac', algorithm: 'HMAC_SHA256', requestId: 'once' });

    const failure = await failureOf(client.sign({ ...asked, data: DATA }));

    expect(failure).toMatchObject({ reason, fields: field ? [field] : [] });
  });

  test('a batch has no place for a peer', async () => {
    const batches = connectBatchClient(daemon.addresses[0] as string);

    const failure = await failureOf(batches.batchSign({ key: P256, data: [DATA] }));

    batches.close();
    expect(failure).toMatchObject({ reason: 'FIELD_INVALID', fields: ['peer_public_key'] });
  });
});
