import {
  constants,
  createCipheriv,
  createPublicKey,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { WRAPPINGS, type Wrapping } from '../domain/key-import.ts';

const AES_KEY_BYTES = 32;

/** The alternative initial value of RFC 5649, which names the padding. */
const KWP_INITIAL_VALUE = Buffer.from('a65959a6', 'hex');

/**
 * Wraps a secret for the token whose public key it is: see Wrapping in keys.proto.
 *
 * @param secret at least one byte
 * @param publicKey a DER-encoded SubjectPublicKeyInfo
 * @throws {Error} from node:crypto, for another key, or a secret that is too long for OAEP
 */
export function wrapSecret(secret: Uint8Array, publicKey: Uint8Array, wrapping: Wrapping): Buffer {
  const { oaepHash, aesKeyWrap } = WRAPPINGS[wrapping];
  if (!aesKeyWrap) return encrypt(secret, publicKey, oaepHash);
  const aesKey = randomBytes(AES_KEY_BYTES);
  try {
    const cipher = createCipheriv('id-aes256-wrap-pad', aesKey, KWP_INITIAL_VALUE);
    const wrapped = [cipher.update(secret), cipher.final()];
    return Buffer.concat([encrypt(aesKey, publicKey, oaepHash), ...wrapped]);
  } finally {
    aesKey.fill(0);
  }
}

function encrypt(secret: Uint8Array, publicKey: Uint8Array, oaepHash: string): Buffer {
  const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
  return publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, secret);
}
