import { createCipheriv } from 'node:crypto';

const BLOCK_BYTES = 16;

/** AES-CMAC as NIST SP 800-38B describes it, in sections 6.1 and 6.2. @param key of 16 or 32 bytes */
export function aesCmac(key: Buffer, data: Uint8Array): Buffer {
  const whole = doubled(encrypted(key, Buffer.alloc(BLOCK_BYTES)));
  const blocks = Math.max(1, Math.ceil(data.byteLength / BLOCK_BYTES));
  const padded = Buffer.alloc(blocks * BLOCK_BYTES);
  padded.set(data);
  const isWhole = data.byteLength === padded.byteLength;
  if (!isWhole) padded[data.byteLength] = 0x80;
  const subkey = isWhole ? whole : doubled(whole);
  const last = padded.subarray(-BLOCK_BYTES);
  for (let index = 0; index < BLOCK_BYTES; index++) {
    last.writeUInt8(last.readUInt8(index) ^ subkey.readUInt8(index), index);
  }
  return encrypted(key, padded).subarray(-BLOCK_BYTES);
}

/** CBC, which starts with zeros: its last block is what the message is to become. */
function encrypted(key: Buffer, data: Buffer): Buffer {
  const name = `aes-${key.byteLength * 8}-cbc`;
  return createCipheriv(name, key, Buffer.alloc(BLOCK_BYTES)).setAutoPadding(false).update(data);
}

/** A block times x in the field of 2^128 elements. */
function doubled(block: Buffer): Buffer {
  const value = BigInt(`0x${block.toString('hex')}`) << 1n;
  const reduced = value >> 128n === 1n ? (value ^ 0x87n) & ((1n << 128n) - 1n) : value;
  return Buffer.from(reduced.toString(16).padStart(2 * BLOCK_BYTES, '0'), 'hex');
}
