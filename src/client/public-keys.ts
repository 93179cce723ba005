import type { PublicKey__Output } from '../generated/sigild/v1/PublicKey.ts';
import type { CallOptions } from './call-options.ts';
import { SigildError } from './sigild-error.ts';

/** A JSON Web Key. */
export interface Jwk {
  readonly kty: string;
  /** The version's id. */
  readonly kid: string;
  /** Absent of agreement keys, as is `use`. */
  readonly alg?: string;
  readonly use?: 'sig';
  /** What the key is made of, by its type: `n` and `e`, or `crv`, `x` and `y`. */
  readonly [member: string]: string | undefined;
}

/** A JSON Web Key Set. */
export interface Jwks {
  readonly keys: readonly Jwk[];
}

/** The public key of one version. */
export interface PublicKey {
  readonly key: string;
  readonly version: number;
  /** 32 hexadecimal digits that name this version for ever. */
  readonly versionId: string;
  readonly algorithm: string;
  /** SubjectPublicKeyInfo, as is `der`. */
  readonly pem: string;
  readonly der: Uint8Array;
  readonly jwk: Jwk;
}

export interface PublicKeyOptions extends CallOptions {
  /** The primary version when absent. */
  readonly version?: number | undefined;
}

export function decodePublicKey(publicKey: PublicKey__Output | undefined): PublicKey {
  if (!publicKey?.der) throw new SigildError('INTERNAL', 'the daemon answered without the key');
  const { key = '', version = 0, versionId = '', algorithm, pem = '', der, jwk } = publicKey;
  // An algorithm of a newer daemon arrives as a number.
  const name = String(algorithm ?? 'UNSPECIFIED');
  return { key, version, versionId, algorithm: name, pem, der, jwk: parsed<Jwk>(jwk) };
}

export function decodeJwks(jwks: string | undefined): Jwks {
  return parsed<Jwks>(jwks);
}

/** @throws {SigildError} INTERNAL */
function parsed<Document>(json = ''): Document {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new SigildError('INTERNAL', 'the daemon answered with what is no JSON', { cause: error });
  }
}
