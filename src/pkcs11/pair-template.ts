import type { KeyObject } from 'node:crypto';
import pkcs11js from 'pkcs11js';
import {
  isAgreementAlgorithm,
  TWO_HALF_ALGORITHMS,
  type TwoHalfAlgorithm,
} from '../domain/algorithm.ts';
import { type Template, ulongArray } from './attributes.ts';
import { EC_PARAMS, PAIR_MECHANISMS } from './pair-mechanisms.ts';
import { publicAttributes } from './public-key.ts';

interface NewPair {
  readonly label: string;
  readonly id: Buffer;
  readonly algorithm: TwoHalfAlgorithm;
}

export interface PairTemplates {
  readonly private: Template;
  readonly public: Template;
}

const PUBLIC_EXPONENT = Buffer.from([0x01, 0x00, 0x01]);

/**
 * How a new key pair stands on the token. Every usage is set: tokens give one that is left out the
 * value true. The public half is private too, in the words of PKCS#11, so that nobody without the PIN
 * can put another one in its place.
 *
 * An agreement key derives, and CKA_SIGN of it only tells its state: it may be used with no mechanism
 * that signs.
 */
export function pairTemplates({ label, id, algorithm }: NewPair): PairTemplates {
  const { keyType, allowed } = PAIR_MECHANISMS[algorithm];
  const common: Template = new Map<number, number | boolean | string | Buffer>([
    [pkcs11js.CKA_KEY_TYPE, keyType],
    [pkcs11js.CKA_LABEL, label],
    [pkcs11js.CKA_ID, id],
    [pkcs11js.CKA_TOKEN, true],
    [pkcs11js.CKA_PRIVATE, true],
    [pkcs11js.CKA_ALLOWED_MECHANISMS, ulongArray(allowed)],
  ]);
  return {
    private: new Map<number, number | boolean | string | Buffer>([
      ...common,
      [pkcs11js.CKA_CLASS, pkcs11js.CKO_PRIVATE_KEY],
      [pkcs11js.CKA_SENSITIVE, true],
      [pkcs11js.CKA_EXTRACTABLE, false],
      [pkcs11js.CKA_SIGN, true],
      [pkcs11js.CKA_SIGN_RECOVER, false],
      [pkcs11js.CKA_DERIVE, isAgreementAlgorithm(algorithm)],
      [pkcs11js.CKA_DECRYPT, false],
      [pkcs11js.CKA_UNWRAP, false],
    ]),
    public: new Map<number, number | boolean | string | Buffer>([
      ...common,
      ...publicParameters(algorithm),
      [pkcs11js.CKA_CLASS, pkcs11js.CKO_PUBLIC_KEY],
      [pkcs11js.CKA_VERIFY, true],
      [pkcs11js.CKA_VERIFY_RECOVER, false],
      [pkcs11js.CKA_DERIVE, false],
      [pkcs11js.CKA_ENCRYPT, false],
      [pkcs11js.CKA_WRAP, false],
    ]),
  };
}

/** As {@link pairTemplates}, for a pair that the token does not generate. */
export function importedPairTemplates(pair: NewPair, publicKey: KeyObject): PairTemplates {
  const templates = pairTemplates(pair);
  const shared = new Map([...templates.public].filter(([type]) => !PARAMETERS.has(type)));
  return {
    private: templates.private,
    public: new Map([...shared, ...publicAttributes(publicKey)]),
  };
}

const PARAMETERS: ReadonlySet<number> = new Set([
  pkcs11js.CKA_EC_PARAMS,
  pkcs11js.CKA_MODULUS_BITS,
  pkcs11js.CKA_PUBLIC_EXPONENT,
]);

/** What the token makes the pair of. */
function publicParameters(algorithm: TwoHalfAlgorithm): Template {
  const facts = TWO_HALF_ALGORITHMS[algorithm];
  if ('curve' in facts) return new Map([[pkcs11js.CKA_EC_PARAMS, EC_PARAMS[facts.curve]]]);
  return new Map<number, number | Buffer>([
    [pkcs11js.CKA_MODULUS_BITS, facts.modulusBits],
    [pkcs11js.CKA_PUBLIC_EXPONENT, PUBLIC_EXPONENT],
  ]);
}
