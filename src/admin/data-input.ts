import { createReadStream } from 'node:fs';
import { CommandFailure, messageOf, usageFailure } from './command-failure.ts';

/**
 * Data up to this length, which is the maxDataBytes that a daemon has unless it is configured otherwise,
 * travel in one request, which can be repeated; longer ones in a stream.
 */
const MAX_REQUEST_BYTES = 1_048_576;

/** What a signature may have, with room: the longest of any algorithm has some hundred bytes. */
const MAX_SIGNATURE_TEXT_BYTES = 65_536;

/** All of the data, or pieces of data that are too long to be read as a whole. */
export type Data =
  | { readonly whole: Buffer }
  /** Throws {CommandFailure} USAGE */
  | { readonly pieces: AsyncIterable<Buffer> };

/**
 * Reads the data to sign or verify.
 *
 * @param file a path, or `-` for stdin, which is also read when no file is given and stdin is not a
 *   terminal
 * @throws {CommandFailure} USAGE
 */
export async function readData(file: string | undefined): Promise<Data> {
  if (file === undefined && process.stdin.isTTY) {
    throw usageFailure('no data', 'name a file with --input-file, or pipe the data in');
  }
  const input = piecesOf(file === '-' ? undefined : file);
  const { pieces, isAll } = await readFirst(input, MAX_REQUEST_BYTES);
  return isAll ? { whole: Buffer.concat(pieces) } : { pieces: joined(pieces, input) };
}

/** Where `verify` takes the signature from: exactly one of the two. */
export interface SignatureSource {
  readonly signature: string | undefined;
  readonly signatureFile: string | undefined;
}

/** @throws {CommandFailure} USAGE, also when it is not base64 */
export async function readSignature(source: SignatureSource): Promise<Buffer> {
  const text = await signatureText(source);
  const signature = decodeBase64(text);
  if (signature !== undefined) return signature;
  throw usageFailure(
    'the signature is not base64 (RFC 4648 section 4, with padding)',
    'pass the line that sigilctl sign printed, unchanged',
  );
}

async function signatureText({ signature, signatureFile }: SignatureSource): Promise<string> {
  if (signature !== undefined) return signature;
  if (signatureFile === undefined) {
    throw usageFailure('no signature', 'give --signature BASE64 or --signature-file FILE');
  }
  const bytes = await readAll(signatureFile, MAX_SIGNATURE_TEXT_BYTES);
  return bytes.toString('latin1').replace(/\r?\n$/, '');
}

/**
 * Decodes base64 as RFC 4648 section 4 defines it: with padding, and without line breaks, other
 * alphabets or bits that no byte has.
 *
 * @returns undefined for anything else
 */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

/** @throws {CommandFailure} USAGE, DATA_TOO_LARGE */
export function readFileBytes(file: string, maxBytes: number): Promise<Buffer> {
  return readAll(file, maxBytes);
}

/** @param file undefined: stdin @throws {CommandFailure} USAGE, DATA_TOO_LARGE */
async function readAll(file: string | undefined, maxBytes: number): Promise<Buffer> {
  const input = piecesOf(file);
  const { pieces, isAll } = await readFirst(input, maxBytes);
  if (isAll) return Buffer.concat(pieces);
  await input.return(undefined);
  throw new CommandFailure('DATA_TOO_LARGE', `${file ?? 'stdin'} has more than ${maxBytes} bytes`);
}

/** Reads until there are more than so many bytes, or no more at all. */
async function readFirst(
  input: AsyncIterator<Buffer>,
  maxBytes: number,
): Promise<{ readonly pieces: Buffer[]; readonly isAll: boolean }> {
  const pieces: Buffer[] = [];
  for (let bytes = 0; bytes <= maxBytes; ) {
    const { value, done } = await input.next();
    if (done) return { pieces, isAll: true };
    pieces.push(value);
    bytes += value.byteLength;
  }
  return { pieces, isAll: false };
}

async function* joined(
  first: readonly Buffer[],
  rest: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  yield* first;
  yield* rest;
}

/** @param file undefined: stdin @throws {CommandFailure} USAGE */
async function* piecesOf(file: string | undefined): AsyncGenerator<Buffer, undefined, undefined> {
  const stream: AsyncIterable<Buffer> = file === undefined ? process.stdin : createReadStream(file);
  try {
    yield* stream;
  } catch (error) {
    const name = file ?? 'stdin';
    throw new CommandFailure('USAGE', `${name} cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
