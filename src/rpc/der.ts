/** A value of DER, the encoding of certificates and revocation lists. */
export interface DerValue {
  readonly tag: number;
  readonly content: Buffer;
  /** With tag and length. */
  readonly whole: Buffer;
}

export const DER_TAG = {
  integer: 0x02,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  version: 0xa0,
} as const;

/** In the first byte of a length: the others say it. */
const LONG_LENGTH = 0x80;

/** Of the bytes of a length: 4 GiB, which is more than any file here. */
const MAX_LENGTH_BYTES = 4;

/**
 * The values that stand side by side in these bytes, which are not copied.
 *
 * @throws {RangeError} for what is no DER
 */
export function derValues(bytes: Buffer): DerValue[] {
  const values: DerValue[] = [];
  for (let start = 0; start < bytes.byteLength; ) {
    const value = derValueAt(bytes, start);
    values.push(value);
    start += value.whole.byteLength;
  }
  return values;
}

function derValueAt(bytes: Buffer, start: number): DerValue {
  const first = bytes.readUInt8(start + 1);
  const isLong = first >= LONG_LENGTH;
  const lengthBytes = isLong ? first - LONG_LENGTH : 0;
  if (isLong && (lengthBytes === 0 || lengthBytes > MAX_LENGTH_BYTES)) throw notDer();
  const contentStart = start + 2 + lengthBytes;
  const length = isLong ? bytes.readUIntBE(start + 2, lengthBytes) : first;
  const end = contentStart + length;
  if (end > bytes.byteLength) throw notDer();
  return {
    tag: bytes.readUInt8(start),
    content: bytes.subarray(contentStart, end),
    whole: bytes.subarray(start, end),
  };
}

function notDer(): RangeError {
  return new RangeError('it is no DER');
}
