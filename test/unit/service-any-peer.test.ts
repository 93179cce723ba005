import { ECDH } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AccessPolicy } from '../../src/service/access-policy.ts';
import type { KeyCatalog } from '../../src/service/key-catalog.ts';
import { PeerKeys } from '../../src/service/peer-keys.ts';
import { BAD_PEERS } from '../support/bad-peers.ts';
import { FakeToken } from '../support/fake-token.ts';
import { corpus, FUZZ_TIMEOUT_MS, inputs, mutated } from '../support/fuzz.ts';

const CURVES = { 'P-256': 'prime256v1', 'P-384': 'secp384r1', 'P-521': 'secp521r1' } as const;

const peers = new PeerKeys({
  token: new FakeToken(),
  catalog: {} as KeyCatalog,
  policy: new AccessPolicy(new Map()),
});

test('any bytes are a point of a curve or no peer', { timeout: FUZZ_TIMEOUT_MS }, async () => {
  const known = [
    ...corpus('public-keys').map(({ bytes }) => bytes),
    ...BAD_PEERS.map(([, spki]) => spki),
  ];
  const context = { client: 'test', signal: new AbortController().signal };
  await fc.assert(
    fc.asyncProperty(mutated(fc.constantFrom(...known)), async (publicKey) => {
      const found = await peers.find(context, { publicKey }).catch((error: unknown) => error);

      if (found instanceof Error) expect(found).toMatchObject({ reason: 'FIELD_INVALID' });
      else expectPoint(found as { curve: keyof typeof CURVES; point: Uint8Array });
    }),
    { ...inputs(500), examples: known.map((bytes): [Buffer] => [bytes]) },
  );
});

/** OpenSSL gives the point back as it is, and refuses one that is not on the curve. */
function expectPoint({ curve, point }: { curve: keyof typeof CURVES; point: Uint8Array }): void {
  const compressed = ECDH.convertKey(point, CURVES[curve], undefined, undefined, 'compressed');
  const again = ECDH.convertKey(compressed, CURVES[curve], undefined, undefined, 'uncompressed');
  expect(Buffer.from(point).equals(again as Buffer)).toBe(true);
}
