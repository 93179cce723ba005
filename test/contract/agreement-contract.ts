import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { AGREEMENT_ALGORITHM_NAMES, type AgreementAlgorithm } from '../../src/domain/algorithm.ts';
import { SigildError } from '../../src/domain/errors.ts';
import type { KeyVersion } from '../../src/domain/key.ts';
import { encodeVersionId } from '../../src/domain/version-id.ts';
import type { Token } from '../../src/service/ports.ts';
import type { NewKey } from '../../src/service/token-values.ts';
import { peerMac, type TestPeer, testPeer } from '../support/fake-agreement.ts';

const { signal } = new AbortController();
const DATA = Buffer.from('data');
const P256 = 'EC_AGREE_P256_HMAC_SHA256';

function newVersion(name: string, algorithm: AgreementAlgorithm, version = 1): NewKey {
  const id = encodeVersionId({ createTimeMs: Date.now(), version, tag: randomBytes(6) });
  return { name, algorithm, id };
}

function outcomeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'done',
    (error: unknown) => (error instanceof SigildError ? error.reason : String(error)),
  );
}

/** What every implementation of the Token port does alike with keys that agree upon others. */
export function testAgreement(tokenUnderTest: () => Token): void {
  const createKey = async (name: string, algorithm: AgreementAlgorithm = P256) => {
    const key = await tokenUnderTest().createKey(newVersion(name, algorithm), signal);
    return key.versions[0] as KeyVersion;
  };

  const macOf = async (version: KeyVersion, peer: TestPeer, data: Uint8Array = DATA) => {
    const [spki] = await tokenUnderTest().publicKeys([version], signal);
    return peerMac(version.algorithm as AgreementAlgorithm, peer, spki ?? data, data);
  };

  const sign = (version: KeyVersion, peer: TestPeer) =>
    tokenUnderTest().signAgreed(version, peer.point, [DATA], signal);

  const verify = (versions: readonly KeyVersion[], peer: TestPeer, mac: Uint8Array) =>
    tokenUnderTest().verifyAgreed(versions, peer.point, [{ data: DATA, mac }], signal);

  describe('a key that is agreed upon', () => {
    test.each(AGREEMENT_ALGORITHM_NAMES)('with %s is that of the peer', async (algorithm) => {
      const token = tokenUnderTest();
      const version = await createKey(`agreed-${algorithm}`, algorithm);
      const peer = testPeer(algorithm);
      const batch = [Buffer.alloc(0), randomBytes(70_000), DATA];

      const macs = await token.signAgreed(version, peer.point, batch, signal);

      const expected = await Promise.all(batch.map((data) => macOf(version, peer, data)));
      expect(macs.map((mac) => Buffer.from(mac))).toEqual(expected);
      const signed = batch.map((data, index) => ({ data, mac: expected[index] ?? data }));
      const wrong = { data: DATA, mac: randomBytes(16) };
      expect(await token.verifyAgreed([version], peer.point, [...signed, wrong], signal)).toEqual([
        version,
        version,
        version,
        undefined,
      ]);
    });

    test('is another one for each version and each peer', async () => {
      const token = tokenUnderTest();
      const old = await createKey('agreed-rotated');
      const { versions } = await token.createVersion(newVersion('agreed-rotated', P256, 2), signal);
      const [peer, other] = [testPeer(P256), testPeer(P256)];
      const mac = await macOf(old, peer);

      expect(await verify(versions, peer, mac)).toEqual([old]);
      expect(await verify(versions.slice(0, 1), peer, mac)).toEqual([undefined]);
      expect(await verify(versions, other, mac)).toEqual([undefined]);
    });

    test.each([
      ['ACTIVE', 'done', 'done'],
      ['DEACTIVATED', 'KEY_STATE_FORBIDS', 'done'],
      ['SUSPENDED', 'KEY_STATE_FORBIDS', 'KEY_STATE_FORBIDS'],
    ] as const)('may be used while %s as other keys may', async (state, signing, verifying) => {
      const token = tokenUnderTest();
      const version = await createKey(`agreed-${state}`);
      const peer = testPeer(P256);
      const mac = await macOf(version, peer);
      for (let use = 0; use < 8; use++) await sign(version, peer);

      const key = await token.setVersionState(version, state, signal);

      expect(key.versions).toEqual([{ ...version, state }]);
      for (let use = 0; use < 8; use++) {
        expect(await outcomeOf(sign(version, peer))).toBe(signing);
        expect(await outcomeOf(verify([version], peer, mac))).toBe(verifying);
      }
    });

    test('is not agreed upon with its own public key', async () => {
      const version = await createKey('agreed-own');
      const [spki = DATA] = await tokenUnderTest().publicKeys([version], signal);
      const own = { ...testPeer(P256), point: Buffer.from(spki.subarray(-65)) };

      await expect(sign(version, own)).rejects.toMatchObject({
        reason: 'FIELD_INVALID',
        violations: [{ field: 'peer_public_key' }],
      });
      expect(await outcomeOf(sign(version, testPeer(P256)))).toBe('done');
    });
  });
}
