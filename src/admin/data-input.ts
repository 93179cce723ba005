import { createReadStream } from 'node:fs';
import { CommandFailure, messageOf, usageFailure } from './command-failure.ts';

/** Twice the highest maxDataBytes that a daemon can be configured with, whose answer is shown below it. */
const MAX_INPUT_BYTES = 32 * 1_048_576;

/** What a signature may have, with room: the longest of any algorithm has some hundred bytes. */
const MAX_SIGNATURE_TEXT_BYTES = 65_536;

/**
 * Reads the data to sign or verify.
 *
 * @param file a path, or `-` for stdin, which is also read when no file is given and stdin is not a
 *   terminal
 * @throws {CommandFailure} USAGE, DATA_TOO_LARGE
 */
export async function readData(file: string | undefined): Promise<Buffer> {
  if (file === undefined && process.stdin.isTTY) {
    throw usageFailure('no data', 'name a file with --input-file, or pipe the data in');
  }
  return readAll(file === '-' ? undefined : file, MAX_INPUT_BYTES);
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

/** @param file undefined: stdin */
async function readAll(file: string | undefined, maxBytes: number): Promise<Buffer> {
  const name = file ?? 'stdin';
  const stream: AsyncIterable<Buffer> = file === undefined ? process.stdin : createReadStream(file);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of stream) {
      chunks.push(chunk);
      bytes += chunk.byteLength;
      if (bytes > maxBytes) break;
    }
  } catch (error) {
    throw new CommandFailure('USAGE', `${name} cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (bytes <= maxBytes) return Buffer.concat(chunks);
  throw new CommandFailure('DATA_TOO_LARGE', `${name} has more than ${maxBytes} bytes`);
}
