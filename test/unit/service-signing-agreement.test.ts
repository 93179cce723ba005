import { describe, expect, test } from 'vitest';
import {
  AGREEMENT_ALGORITHM_NAMES,
  type AgreementAlgorithm,
  type Algorithm,
} from '../../src/domain/algorithm.ts';
import type { PeerName } from '../../src/service/peer-keys.ts';
import { BAD_PEERS } from '../support/bad-peers.ts';
import { peerMac, testPeer } from '../support/fake-agreement.ts';
import { startPairServices } from '../support/pair-services.ts';

const DATA = Buffer.from('data');
const P256 = 'EC_AGREE_P256_HMAC_SHA256';
const P384 = 'EC_AGREE_P384_HMAC_SHA384';

/** A service with the key `partner`, and how a client of it uses keys. */
async function startWithKey(...algorithms: readonly Algorithm[]) {
  const services = startPairServices();
  const { signing, publicKeys, admin, create } = services;
  await create('partner', ...algorithms);
  const sign = async (peerName: PeerName | undefined, key = 'partner', by = admin) => {
    const request = { key, version: undefined, batch: [DATA], peerName };
    const { signatures } = await signing.sign(by, request);
    return Buffer.from(signatures[0] ?? []);
  };
  const verify = async (peerName: PeerName | undefined, mac: Uint8Array, version?: number) => {
    const batch = [{ data: DATA, mac }];
    const [found] = await signing.verify(admin, { key: 'partner', version, batch, peerName });
    return found?.version;
  };
  const spkiOf = async (key: string, version?: number) =>
    (await publicKeys.getPublicKey(admin, key, version)).der;
  return { ...services, sign, verify, spkiOf };
}

function invalid(field: string) {
  return { reason: 'FIELD_INVALID', violations: [{ field }] };
}

test.each(AGREEMENT_ALGORITHM_NAMES)('%s makes the MAC that the peer makes', async (algorithm) => {
  const { sign, verify, spkiOf } = await startWithKey(algorithm);
  const peer = testPeer(algorithm);
  const expected = peerMac(algorithm, peer, await spkiOf('partner'), DATA);

  expect(await sign({ publicKey: peer.spki })).toEqual(expected);
  expect(await verify({ publicKey: peer.spki }, expected)).toBe(1);
  expect(await verify({ publicKey: testPeer(algorithm).spki }, expected)).toBeUndefined();
  expect(await verify({ publicKey: peer.spki }, Buffer.alloc(3))).toBeUndefined();
});

test('a signature of any version is found, with the number of the version', async () => {
  const { verify, spkiOf } = await startWithKey(P256, P256);
  const peer = testPeer(P256);
  const macs = await Promise.all(
    [1, 2].map(async (version) => peerMac(P256, peer, await spkiOf('partner', version), DATA)),
  );

  const found = await Promise.all(macs.map((mac) => verify({ publicKey: peer.spki }, mac)));

  expect(found).toEqual([1, 2]);
});

describe('the peer', () => {
  test.each(BAD_PEERS)('may not be %s', async (_, publicKey) => {
    const { token, sign, verify } = await startWithKey(P256);

    await expect(sign({ publicKey })).rejects.toMatchObject(invalid('peer_public_key'));
    await expect(verify({ publicKey }, Buffer.alloc(32))).rejects.toMatchObject(
      invalid('peer_public_key'),
    );
    expect(token.calls.signAgreed + token.calls.verifyAgreed).toBe(0);
  });

  test.each([
    [P256, undefined],
    [P256, 1],
  ] as const)('must be named for %s (version %s)', async (algorithm, version) => {
    const { sign, verify } = await startWithKey(algorithm);

    await expect(sign(undefined)).rejects.toMatchObject(invalid('peer_public_key'));
    await expect(verify(undefined, Buffer.alloc(32), version)).rejects.toMatchObject(
      invalid('peer_public_key'),
    );
  });

  test.each(['HMAC_SHA256', 'EC_SIGN_P256_SHA256', 'EC_SIGN_ED25519'] as const)(
    'is none for %s',
    async (algorithm) => {
      const { sign, verify, create } = await startWithKey(algorithm);
      await create('other', P256);
      const publicKey = testPeer(P256).spki;

      await expect(sign({ publicKey })).rejects.toMatchObject(invalid('peer_public_key'));
      await expect(sign({ key: 'other' })).rejects.toMatchObject(invalid('peer_key'));
      await expect(verify({ publicKey }, Buffer.alloc(64))).rejects.toMatchObject(
        invalid('peer_public_key'),
      );
    },
  );

  test('counts for the versions of its curve, where a key has several', async () => {
    const { verify, spkiOf } = await startWithKey(P256, P384);
    const macFor = async (algorithm: AgreementAlgorithm, version: number) => {
      const peer = testPeer(algorithm);
      const mac = peerMac(algorithm, peer, await spkiOf('partner', version), DATA);
      return verify({ publicKey: peer.spki }, mac);
    };

    expect([await macFor(P256, 1), await macFor(P384, 2)]).toEqual([1, 2]);
  });
});

describe('a peer that is named', () => {
  test('has the public key of its primary version', async () => {
    const { sign, spkiOf, create } = await startWithKey(P256);
    await create('other', P256, P256);

    const byName = await sign({ key: 'other' });

    expect(byName).toEqual(await sign({ publicKey: await spkiOf('other', 2) }));
    expect(byName).toEqual(await sign({ key: 'partner' }, 'other'));
  });

  test('may be a key pair that signs', async () => {
    const { sign, spkiOf, create } = await startWithKey(P256);
    await create('signer', 'EC_SIGN_P256_SHA256');

    expect(await sign({ key: 'signer' })).toEqual(
      await sign({ publicKey: await spkiOf('signer') }),
    );
  });

  test.each([
    ['makes MACs', 'HMAC_SHA256'],
    ['is on another curve', P384],
    ['is of RSA', 'RSA_SIGN_PKCS1_2048_SHA256'],
  ] as const)('is refused when it %s', async (_, algorithm) => {
    const { sign, create } = await startWithKey(P256);
    await create('other', algorithm);

    await expect(sign({ key: 'other' })).rejects.toMatchObject(invalid('peer_key'));
  });

  test('is not the key itself', async () => {
    const { sign } = await startWithKey(P256);

    await expect(sign({ key: 'partner' })).rejects.toMatchObject({ reason: 'FIELD_INVALID' });
  });

  test('is missing to a client who may not see it, as one that is not there', async () => {
    const { sign, create, partner } = await startWithKey(P256);
    await create('secret', P256);
    await create('public', P256);

    const missing = { reason: 'KEY_NOT_FOUND', message: expect.stringMatching(/nothing|secret/) };
    await expect(sign({ key: 'nothing' })).rejects.toMatchObject(missing);
    await expect(sign({ key: 'secret' }, 'partner', partner)).rejects.toMatchObject(missing);
    expect(await sign({ key: 'public' }, 'partner', partner)).toHaveLength(32);
  });
});

test('a digest is no message of an agreement key', async () => {
  const { signing, admin } = await startWithKey(P256);
  const peerName = { publicKey: testPeer(P256).spki };
  const request = { key: 'partner', version: undefined, batch: [Buffer.alloc(32)], peerName };

  await expect(signing.sign(admin, { ...request, digests: true })).rejects.toMatchObject(
    invalid('digest'),
  );
  await expect(signing.sign(admin, { ...request, format: 'RAW' })).rejects.toMatchObject(
    invalid('signature_format'),
  );
});

test('a public key is told of an agreement key, and left out of the JWK Set', async () => {
  const { publicKeys, admin } = await startWithKey(P256);

  const { jwk } = await publicKeys.getPublicKey(admin, 'partner', undefined);

  expect(jwk).toEqual({
    ...{ kty: 'EC', crv: 'P-256', kid: expect.stringMatching(/^[0-9a-f]{32}$/) },
    ...{ x: expect.any(String), y: expect.any(String) },
  });
  expect(await publicKeys.listPublicKeys(admin)).toEqual([]);
});
