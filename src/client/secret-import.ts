import { createHash } from 'node:crypto';
import type { Algorithm } from '../domain/algorithm.ts';
import { isWrapping, lengthText, secretsOf } from '../domain/key-import.ts';
import type { GetImportKeyResponse__Output } from '../generated/sigild/v1/GetImportKeyResponse.ts';
import { wrapSecret } from '../service/secret-wrapping.ts';

/** What ImportKey takes of a secret. */
export interface WrappedSecret {
  readonly importKeyId: string;
  readonly wrappedKey: Buffer;
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
 * @throws {RangeError} when it has no length that the algorithm takes
 */
export async function importSecret<Answer>(
  calls: ImportCalls<Answer>,
  algorithm: Algorithm,
  secret: Uint8Array,
): Promise<Answer> {
  const value = keyValue(algorithm, secret);
  try {
    return await attempt(calls, value).catch((error: unknown) => {
      if (!isLost(error)) throw error;
      return attempt(calls, value);
    });
  } finally {
    value.fill(0);
  }
}

/** The key that a secret stands for, in a buffer of its own. */
function keyValue(algorithm: Algorithm, secret: Uint8Array): Buffer {
  if (!(secret instanceof Uint8Array)) throw new TypeError('the secret must be a Uint8Array');
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

async function attempt<Answer>(calls: ImportCalls<Answer>, value: Buffer): Promise<Answer> {
  const { importKeyId = '', publicKeyDer, wrapping } = await calls.getImportKey();
  // A wrapping of a newer daemon arrives as a number.
  if (!publicKeyDer || typeof wrapping !== 'string' || !isWrapping(wrapping)) {
    throw new RangeError(
      `the daemon asks for a wrapping that this version does not know: ${wrapping}`,
    );
  }
  return calls.importKey({ importKeyId, wrappedKey: wrapSecret(value, publicKeyDer, wrapping) });
}

function isLost(error: unknown): boolean {
  return error instanceof Error && 'reason' in error && error.reason === 'IMPORT_KEY_NOT_FOUND';
}
