import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { type Algorithm, isPairAlgorithm } from '../domain/algorithm.ts';
import { isWrapping, lengthText, secretsOf } from '../domain/key-import.ts';
import type { GetImportKeyResponse__Output } from '../generated/sigild/v1/GetImportKeyResponse.ts';
import { wrapSecret } from '../service/secret-wrapping.ts';

/** What ImportKey takes of a secret. */
export interface WrappedSecret {
  readonly importKeyId: string;
  readonly wrappedKey: Buffer;
  /** Of a private key the public half. */
  readonly publicKeyDer?: Buffer;
}

/** The two calls of an import, which fail with an error that has a `reason`. */
export interface ImportCalls<Answer> {
  readonly getImportKey: () => Promise<GetImportKeyResponse__Output>;
  readonly importKey: (wrapped: WrappedSecret) => Promise<Answer>;
}

/**
 * Imports a secret, and once more where the daemon has lost the import key meanwhile. No copy of the
 * secret is left in this process's buffers.
 *
 * @throws {TypeError} when the secret is no Uint8Array
 * @throws {RangeError} when it has no length that the algorithm takes, or is no private key
 */
export async function importSecret<Answer>(
  calls: ImportCalls<Answer>,
  algorithm: Algorithm,
  secret: Uint8Array,
): Promise<Answer> {
  const key = keyOf(algorithm, secret);
  try {
    return await attempt(calls, key).catch((error: unknown) => {
      if (!isLost(error)) throw error;
      return attempt(calls, key);
    });
  } finally {
    key.value.fill(0);
  }
}

interface KeyToWrap {
  /** A buffer of its own. */
  readonly value: Buffer;
  readonly publicKeyDer?: Buffer;
}

function keyOf(algorithm: Algorithm, secret: Uint8Array): KeyToWrap {
  if (!(secret instanceof Uint8Array)) throw new TypeError('the secret must be a Uint8Array');
  return isPairAlgorithm(algorithm) ? privateKey(secret) : { value: keyValue(algorithm, secret) };
}

/** A private key as tokens unwrap it, without what PKCS #8 may hold beside it. */
function privateKey(der: Uint8Array): KeyToWrap {
  const copy = Buffer.from(der);
  try {
    const key = createPrivateKey({ key: copy, format: 'der', type: 'pkcs8' });
    return {
      value: key.export({ format: 'der', type: 'pkcs8' }),
      publicKeyDer: createPublicKey(key).export({ format: 'der', type: 'spki' }),
    };
  } catch {
    // What node:crypto says of a bad key helps nobody.
    throw new RangeError('the secret is no private key in PKCS #8 as DER');
  } finally {
    copy.fill(0);
  }
}

/** The key that a secret stands for, in a buffer of its own. */
function keyValue(algorithm: Algorithm, secret: Uint8Array): Buffer {
  const facts = secretsOf(algorithm);
  if (!facts) throw new RangeError(`${algorithm} has no keys that can be imported`);
  const { hash, minBytes, maxBytes } = facts;
  if (secret.byteLength === 0) throw new RangeError('the secret is empty');
  if (hash !== undefined) return hmacKey(secret, hash, minBytes, maxBytes);
  if (secret.byteLength === minBytes) return Buffer.from(secret);
  throw new RangeError(`a secret for ${algorithm} has ${lengthText(facts)}`);
}

/**
 * HMAC hashes a key that is longer than the hash's block, and fills one that is shorter up with zero
 * bytes (RFC 2104). Tokens refuse both; done here, the MACs are the same.
 */
function hmacKey(secret: Uint8Array, hash: string, minBytes: number, blockBytes: number): Buffer {
  if (secret.byteLength > blockBytes) return createHash(hash).update(secret).digest();
  const value = Buffer.alloc(Math.max(secret.byteLength, minBytes));
  value.set(secret);
  return value;
}

async function attempt<Answer>(
  calls: ImportCalls<Answer>,
  { value, ...rest }: KeyToWrap,
): Promise<Answer> {
  const { importKeyId = '', publicKeyDer, wrapping } = await calls.getImportKey();
  // A wrapping of a newer daemon arrives as a number.
  if (!publicKeyDer || typeof wrapping !== 'string' || !isWrapping(wrapping)) {
    throw new RangeError(
      `the daemon asks for a wrapping that this version does not know: ${wrapping}`,
    );
  }
  const wrappedKey = wrapSecret(value, publicKeyDer, wrapping);
  return calls.importKey({ importKeyId, wrappedKey, ...rest });
}

function isLost(error: unknown): boolean {
  return error instanceof Error && 'reason' in error && error.reason === 'IMPORT_KEY_NOT_FOUND';
}
