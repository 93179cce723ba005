import { fieldInvalid, SigildError } from '../domain/errors.ts';
import type { SignStreamHeader__Output } from '../generated/sigild/v1/SignStreamHeader.ts';
import type { VerifyStreamHeader__Output } from '../generated/sigild/v1/VerifyStreamHeader.ts';
import type { Pieces, SignHeader, VerifyHeader } from '../service/stream-service.ts';
import { decodeKeyName, decodeVersion, required } from './decode-fields.ts';

/** A message of SignStream or VerifyStream. */
export interface StreamMessage<Header> {
  readonly header?: Header | undefined;
  readonly data?: Buffer | undefined;
}

/** The most data of one message; somewhat more still gets here, to be answered. */
const MAX_PIECE_BYTES = 4 * 1024 * 1024;

/** @throws {SigildError} FIELD_INVALID */
export function decodeSignHeader({ key, version }: SignStreamHeader__Output): SignHeader {
  return { key: decodeKeyName(key), version: decodeVersion(version) };
}

/** @throws {SigildError} FIELD_INVALID, SIGNATURE_MISSING */
export function decodeVerifyHeader(header: VerifyStreamHeader__Output): VerifyHeader {
  return {
    ...decodeSignHeader(header),
    mac: required('SIGNATURE_MISSING', 'header.signature', header.signature),
  };
}

/**
 * Reads the header of a stream.
 *
 * @returns also what comes after it: pieces, which throw FIELD_INVALID, DATA_MISSING, DATA_TOO_LARGE,
 *   and what `messages` throws
 * @throws {SigildError} FIELD_INVALID; what `messages` throws
 */
export async function decodeStream<Header>(
  messages: AsyncIterator<StreamMessage<Header>>,
): Promise<{ readonly header: Header; readonly pieces: Pieces }> {
  const { value, done } = await messages.next();
  const { header, data } = done ? {} : value;
  if (!header || data) throw fieldInvalid('header', 'must be the first message of the stream');
  return { header, pieces: piecesOf(messages) };
}

async function* piecesOf(messages: AsyncIterator<StreamMessage<unknown>>): AsyncGenerator<Buffer> {
  for (;;) {
    const { value, done } = await messages.next();
    if (done) return;
    yield decodePiece(value);
  }
}

function decodePiece({ header, data }: StreamMessage<unknown>): Buffer {
  if (header) throw fieldInvalid('header', 'must be in the first message of the stream alone');
  const piece = required('DATA_MISSING', 'data', data);
  if (piece.byteLength <= MAX_PIECE_BYTES) return piece;
  throw new SigildError(
    'DATA_TOO_LARGE',
    `a piece of the data has ${piece.byteLength} bytes; at most ${MAX_PIECE_BYTES} are allowed, ` +
      'of as many pieces as you like',
  );
}
