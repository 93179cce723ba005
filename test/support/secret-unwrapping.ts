import { constants, createDecipheriv, generateKeyPairSync, privateDecrypt } from 'node:crypto';

const MODULUS_BITS = 2_048;
const MODULUS_BYTES = MODULUS_BITS / 8;

/** One serves all: making one takes long. */
let pair: ReturnType<typeof makePair> | undefined;

function makePair() {
  return generateKeyPairSync('rsa', { modulusLength: MODULUS_BITS });
}

function pairOnce() {
  pair ??= makePair();
  return pair;
}

/** A DER-encoded SubjectPublicKeyInfo. */
export function importPublicKey(): Buffer {
  return pairOnce().publicKey.export({ type: 'spki', format: 'der' });
}

/**
 * Undoes RSA_OAEP_SHA256_AES_256_KWP.
 *
 * @returns undefined for what was not wrapped so with {@link importPublicKey}
 */
export function unwrapSecret(wrapped: Buffer): Buffer | undefined {
  const { privateKey: key } = pairOnce();
  try {
    const aesKey = privateDecrypt(
      { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
      wrapped.subarray(0, MODULUS_BYTES),
    );
    const initialValue = Buffer.from('a65959a6', 'hex');
    const decipher = createDecipheriv('id-aes256-wrap-pad', aesKey, initialValue);
    return Buffer.concat([decipher.update(wrapped.subarray(MODULUS_BYTES)), decipher.final()]);
  } catch {
    return undefined;
  }
}
