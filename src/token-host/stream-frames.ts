import type { VersionRef } from '../domain/key.ts';
import { encodeFrame } from './frames.ts';
import { encodeJson, OPERATION } from './protocol.ts';

/** Begins a stream, whose number no other one of the lane has. */
export interface StreamOpening {
  readonly stream: number;
  readonly operation: 'sign' | 'verify';
  /** One to sign with, or all that are tried. */
  readonly refs: readonly VersionRef[];
}

/** Ends a stream with a result. */
export interface StreamEnd {
  readonly stream: number;
  /** What is verified, in base64; absent where data are signed. */
  readonly mac?: string;
}

const STREAM_BYTES = 4;

export function encodeStreamOpening({ stream, operation, refs }: StreamOpening): Buffer {
  const opening: StreamOpening = {
    ...{ stream, operation },
    refs: refs.map(({ key, id }) => ({ key, id })),
  };
  return encodeJson(OPERATION.openStream, opening);
}

/** The stream's number (4 bytes), then the piece. */
export function encodeStreamPiece(stream: number, piece: Uint8Array): Buffer {
  return encodeFrame(OPERATION.updateStream, STREAM_BYTES + piece.byteLength, (payload) => {
    payload.set(piece, payload.writeUInt32BE(stream, 0));
  });
}

export function decodeStreamPiece(payload: Buffer): {
  readonly stream: number;
  readonly piece: Buffer;
} {
  return { stream: payload.readUInt32BE(0), piece: payload.subarray(STREAM_BYTES) };
}

export function encodeStreamEnd(end: StreamEnd): Buffer {
  return encodeJson(OPERATION.finishStream, end);
}
