import { createPrivateKey } from 'node:crypto';
import { decodeBase64 } from './data-input.ts';

/** How a secret is written down. */
export const SECRET_FORMATS = ['raw', 'hex', 'base64', 'text', 'pem'] as const;

export type SecretFormat = (typeof SECRET_FORMATS)[number];

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/**
 * Reads a secret out of bytes. But for `raw`, one line end at the end is none of it: editors and `echo`
 * leave one there.
 *
 * @returns a buffer of its own, or undefined for what does not have the format
 */
export function parseSecret(bytes: Buffer, format: SecretFormat): Buffer | undefined {
  if (format === 'raw') return Buffer.from(bytes);
  if (format === 'pem') return privateKey(bytes);
  const line = withoutLineEnd(bytes);
  if (format === 'text') return Buffer.from(line);
  const text = line.toString('latin1');
  if (format === 'base64') return decodeBase64(text);
  return /^([0-9a-f]{2})*$/i.test(text) ? Buffer.from(text, 'hex') : undefined;
}

/** @returns PKCS #8 in DER */
function privateKey(pem: Buffer): Buffer | undefined {
  try {
    return createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' });
  } catch {
    return undefined;
  }
}

function withoutLineEnd(bytes: Buffer): Buffer {
  if (bytes.at(-1) !== NEWLINE) return bytes;
  return bytes.subarray(0, bytes.at(-2) === RETURN ? -2 : -1);
}
