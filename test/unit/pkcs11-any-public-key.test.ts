import { createPublicKey } from 'node:crypto';
import fc from 'fast-check';
import pkcs11js from 'pkcs11js';
import { expect, test } from 'vitest';
import { PAIR_ALGORITHM_NAMES } from '../../src/domain/algorithm.ts';
import { SigildError } from '../../src/domain/errors.ts';
import { Attributes } from '../../src/pkcs11/attributes.ts';
import { parsePublicKey } from '../../src/pkcs11/imported-pair.ts';
import { EC_PARAMS } from '../../src/pkcs11/pair-mechanisms.ts';
import {
  ecPublicKey,
  publicAttributes,
  rsaPublicKey,
  spkiOf,
} from '../../src/pkcs11/public-key.ts';
import { corpus, FUZZ_TIMEOUT_MS, inputs, mutated } from '../support/fuzz.ts';

const CORPUS = corpus('public-keys').map(({ bytes }) => bytes);

// Node 20.20 ends the whole process, and this test with it, when it is asked about some keys.

test('any bytes are the public key of an import or refused', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const spki = mutated(fc.constantFrom(...CORPUS));
  const examples = PAIR_ALGORITHM_NAMES.flatMap((name) =>
    CORPUS.map((bytes): [typeof name, Buffer] => [name, bytes]),
  );
  fc.assert(
    fc.property(fc.constantFrom(...PAIR_ALGORITHM_NAMES), spki, (algorithm, bytes) => {
      try {
        const key = parsePublicKey(algorithm, bytes);
        expect(spkiOf(key).equals(bytes)).toBe(true);
        expect(publicAttributes(key).size).toBe(2);
      } catch (error) {
        expect(error).toBeInstanceOf(SigildError);
        expect((error as SigildError).reason).toBe('WRAPPED_KEY_INVALID');
      }
    }),
    { ...inputs(300), examples },
  );
});

test('any attributes of a token are a public key or none', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const params = Object.values(EC_PARAMS);
  const points = CORPUS.map((bytes) => bytes.subarray(-65));
  const value = mutated(
    fc.constantFrom(
      ...points,
      Buffer.from([4, 1, 0]),
      Buffer.from([4, 65, 4]),
      Buffer.alloc(32, 1),
    ),
  );
  fc.assert(
    fc.property(
      fc.oneof(fc.constantFrom(...params), mutated(fc.constantFrom(...params))),
      value,
      value,
      (curve, one, other) => {
        const attributes = new Attributes(
          new Map([
            [pkcs11js.CKA_EC_PARAMS, Buffer.from(curve)],
            [pkcs11js.CKA_EC_POINT, one],
            [pkcs11js.CKA_MODULUS, one],
            [pkcs11js.CKA_PUBLIC_EXPONENT, other],
          ]),
        );
        for (const key of [ecPublicKey(attributes), rsaPublicKey(attributes)]) {
          if (!key) continue;
          const again = createPublicKey({ key: spkiOf(key), format: 'der', type: 'spki' });
          expect(again.equals(key)).toBe(true);
        }
      },
    ),
    inputs(300),
  );
});
