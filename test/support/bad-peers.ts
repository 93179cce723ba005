import { ECDH, generateKeyPairSync } from 'node:crypto';

const PREFIX_BYTES = 26;

const SPKI = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
  format: 'der',
  type: 'spki',
});

const POINT = SPKI.subarray(PREFIX_BYTES);

/** Public keys that cannot be those of a peer on P-256, by what is wrong with them. */
export const BAD_PEERS: readonly (readonly [title: string, spki: Buffer])[] = [
  ['no bytes', Buffer.alloc(0)],
  ['text', Buffer.from('a public key')],
  ['a point that is not on the curve', flipped()],
  ['the coordinates 0 and 0', spkiOf(Buffer.concat([Buffer.from([4]), Buffer.alloc(64)]))],
  ['coordinates over the field', spkiOf(Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 0xff)]))],
  ['the point at infinity', spkiOf(Buffer.from([0]))],
  ['the point at infinity with zeros', spkiOf(Buffer.alloc(65))],
  ['a compressed point', spkiOf(converted('compressed'))],
  ['a hybrid point', spkiOf(converted('hybrid'))],
  ['a key that is cut short', SPKI.subarray(0, -1)],
  ['a key with a byte behind it', Buffer.concat([SPKI, Buffer.alloc(1)])],
  ['a point alone', POINT],
  ['a key on P-384', ec('P-384')],
  ['a key on P-521', ec('P-521')],
  ['a key on another curve of 256 bits', ec('secp256k1')],
  ['a key of Ed25519', spki(generateKeyPairSync('ed25519').publicKey)],
  ['a key of X25519', spki(generateKeyPairSync('x25519').publicKey)],
  ['a key of RSA', spki(generateKeyPairSync('rsa', { modulusLength: 2_048 }).publicKey)],
];

function spki(key: { export(options: { format: 'der'; type: 'spki' }): Buffer }): Buffer {
  return key.export({ format: 'der', type: 'spki' });
}

function ec(namedCurve: string): Buffer {
  return spki(generateKeyPairSync('ec', { namedCurve }).publicKey);
}

function flipped(): Buffer {
  const bytes = Buffer.from(SPKI);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  return bytes;
}

function converted(format: 'compressed' | 'hybrid'): Buffer {
  return ECDH.convertKey(POINT, 'prime256v1', undefined, undefined, format) as Buffer;
}

/** The SubjectPublicKeyInfo of what is said to be a point of P-256. */
function spkiOf(point: Buffer): Buffer {
  const algorithm = SPKI.subarray(2, 23);
  const bits = Buffer.concat([Buffer.from([0x03, point.length + 1, 0]), point]);
  const length = algorithm.length + bits.length;
  return Buffer.concat([Buffer.from([0x30, length]), algorithm, bits]);
}
