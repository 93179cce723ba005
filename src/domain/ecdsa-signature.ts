/** How an ECDSA signature is written: DER as X.509 and TLS have it, r and s side by side as JWS does. */
export type SignatureFormat = 'DER' | 'RAW';

const SEQUENCE = 0x30;
const INTEGER = 0x02;
/** Before a length of one byte that has its highest bit set. */
const LONG_LENGTH = 0x81;

/** The DER of `SEQUENCE { r INTEGER, s INTEGER }`. @param raw r and s side by side, of one length */
export function derOfRaw(raw: Uint8Array): Uint8Array {
  const half = raw.byteLength / 2;
  const body = [...integer(raw.subarray(0, half)), ...integer(raw.subarray(half))];
  const length = body.length < 0x80 ? [body.length] : [LONG_LENGTH, body.length];
  return Uint8Array.from([SEQUENCE, ...length, ...body]);
}

/**
 * Reads DER and nothing else: each signature has one encoding.
 *
 * @param bytes of r and s together
 * @returns r and s side by side; undefined for what is no DER of two numbers of that length
 */
export function rawOfDer(der: Uint8Array, bytes: number): Uint8Array | undefined {
  const body = contentOf(der);
  const r = body && readInteger(body, bytes / 2);
  const s = body && r && readInteger(body.subarray(r.end), bytes / 2);
  if (!r || !s || r.end + s.end !== body.byteLength) return undefined;
  const raw = new Uint8Array(bytes);
  raw.set(r.value, bytes / 2 - r.value.byteLength);
  raw.set(s.value, bytes - s.value.byteLength);
  return raw;
}

function integer(magnitude: Uint8Array): number[] {
  const first = magnitude.findIndex((byte) => byte !== 0);
  const digits = first < 0 ? [0] : [...magnitude.subarray(first)];
  // DER's integers have a sign.
  const signed = (digits[0] ?? 0) < 0x80 ? digits : [0, ...digits];
  return [INTEGER, signed.length, ...signed];
}

/** @returns the content of the one SEQUENCE that these bytes are, whose length is the shortest */
function contentOf(der: Uint8Array): Uint8Array | undefined {
  const [tag, first = 0, second = 0] = der;
  const isLong = first === LONG_LENGTH && second >= 0x80;
  if (tag !== SEQUENCE || (first >= 0x80 && !isLong)) return undefined;
  const start = isLong ? 3 : 2;
  const length = isLong ? second : first;
  return der.byteLength === start + length ? der.subarray(start) : undefined;
}

interface ReadInteger {
  /** Without the zero that is there for the sign. */
  readonly value: Uint8Array;
  readonly end: number;
}

/** @returns undefined for a negative number, one that is longer than it need be, and one too large */
function readInteger(bytes: Uint8Array, maxBytes: number): ReadInteger | undefined {
  const [tag, length = 0, first = 0, second = 0] = bytes;
  const end = 2 + length;
  if (tag !== INTEGER || length === 0 || end > bytes.byteLength || first >= 0x80) return undefined;
  const isPadded = first === 0 && length > 1;
  if (isPadded && second < 0x80) return undefined;
  const value = bytes.subarray(isPadded ? 3 : 2, end);
  return value.byteLength <= maxBytes ? { value, end } : undefined;
}
