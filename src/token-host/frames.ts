/**
 * Frames between the front and a session lane: a length of 4 bytes (big-endian, of what follows), the
 * call's number (4 bytes), a code (1 byte: the operation, or the outcome), the microseconds that the
 * lane worked on it (4 bytes, 0 in a request), and the payload.
 */
export interface Frame {
  readonly call: number;
  readonly code: number;
  readonly workedUs: number;
  /** A view, into the chunk that it came in as a rule: good until that is reused. */
  readonly payload: Buffer;
}

const LENGTH_BYTES = 4;
const CODE_AT = 8;
const WORKED_AT = 9;
const HEADER_BYTES = 13;

/** More than any request or answer has: a length above it means that the peer has lost its mind. */
const MAX_FRAME_BYTES = 256 * 1024 * 1024;

const MAX_WORKED_US = 0xffff_ffff;

/** @param write fills the payload, of exactly that many bytes */
export function encodeFrame(
  code: number,
  payloadBytes: number,
  write: (payload: Buffer) => void,
): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payloadBytes);
  frame.writeUInt32BE(HEADER_BYTES - LENGTH_BYTES + payloadBytes, 0);
  frame.writeUInt32BE(0, LENGTH_BYTES);
  frame[CODE_AT] = code;
  frame.writeUInt32BE(0, WORKED_AT);
  write(frame.subarray(HEADER_BYTES));
  return frame;
}

/** Gives a frame the number by which its answer finds it. */
export function numberFrame(frame: Buffer, call: number): void {
  frame.writeUInt32BE(call, LENGTH_BYTES);
}

/** Says in an answer how long the lane worked on it. */
export function timeFrame(frame: Buffer, workedMs: number): void {
  frame.writeUInt32BE(Math.min(MAX_WORKED_US, Math.round(workedMs * 1_000)), WORKED_AT);
}

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  #partial: Buffer[] = [];
  #partialBytes = 0;
  #neededBytes = HEADER_BYTES;

  /**
   * @param chunk may be reused once the frames have been handled
   * @returns the frames that are whole now
   * @throws {Error} when the bytes are no frames
   */
  *push(chunk: Buffer): Generator<Frame> {
    let bytes = this.#join(chunk);
    while (bytes.byteLength >= this.#neededBytes) {
      const end = LENGTH_BYTES + frameLength(bytes);
      if (bytes.byteLength < end) {
        this.#neededBytes = end;
        break;
      }
      yield {
        call: bytes.readUInt32BE(LENGTH_BYTES),
        code: bytes[CODE_AT] as number,
        workedUs: bytes.readUInt32BE(WORKED_AT),
        payload: bytes.subarray(HEADER_BYTES, end),
      };
      bytes = bytes.subarray(end);
      this.#neededBytes = HEADER_BYTES;
    }
    if (bytes.byteLength > 0) this.#keep(bytes);
  }

  /** All that is there, in one piece as soon as a frame may be whole. */
  #join(chunk: Buffer): Buffer {
    if (this.#partialBytes === 0) return chunk;
    if (this.#partialBytes + chunk.byteLength < this.#neededBytes) {
      this.#keep(chunk);
      return Buffer.alloc(0);
    }
    const joined = Buffer.concat([...this.#partial, chunk]);
    this.#partial = [];
    this.#partialBytes = 0;
    return joined;
  }

  #keep(bytes: Buffer): void {
    this.#partial.push(Buffer.from(bytes));
    this.#partialBytes += bytes.byteLength;
  }
}

function frameLength(bytes: Buffer): number {
  const length = bytes.readUInt32BE(0);
  if (length >= HEADER_BYTES - LENGTH_BYTES && length <= MAX_FRAME_BYTES) return length;
  throw new Error(`a frame of ${length} bytes is not possible`);
}
