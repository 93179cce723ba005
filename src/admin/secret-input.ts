import { closeSync, createReadStream, fstatSync, openSync } from 'node:fs';
import { CommandFailure, messageOf, usageFailure } from './command-failure.ts';
import { HiddenPrompt } from './hidden-prompt.ts';
import { parseSecret, type SecretFormat } from './secret-format.ts';

/** More than any secret needs: HMAC hashes what is longer than its block. */
const MAX_SECRET_BYTES = 65_536;

const ELSEWHERE = 'give the secret by --secret-file or --secret-stdin';

/** Where a secret comes from: a file, else stdin where that is asked for, else the terminal. */
export interface SecretSource {
  readonly file: string | undefined;
  readonly stdin: boolean;
}

/**
 * Reads a secret. The terminal is asked twice, as nothing but a wrong MAC would tell of a slip.
 *
 * @returns at least one byte, in a buffer of its own, which the caller clears
 * @throws {CommandFailure} USAGE, CONFIGURATION when the file cannot be used or others may read it,
 *   DATA_TOO_LARGE, CANCELLED; none of them quotes what was read
 */
export async function readSecret(source: SecretSource, format: SecretFormat): Promise<Buffer> {
  const bytes = await readBytes(source, format);
  try {
    const secret = parseSecret(bytes, format);
    if (secret === undefined) throw usageFailure(`the secret is not ${format}`);
    if (secret.byteLength === 0) throw usageFailure('the secret is empty');
    return secret;
  } finally {
    bytes.fill(0);
  }
}

async function readBytes({ file, stdin }: SecretSource, format: SecretFormat): Promise<Buffer> {
  if (file !== undefined) return readAll(file, createReadStream(file, { fd: openPrivate(file) }));
  if (!stdin) return askTwice(format);
  if (!process.stdin.isTTY) return readAll('stdin', process.stdin);
  throw usageFailure(
    'the secret cannot come from stdin: it is a terminal, which would show it',
    'leave --secret-stdin out to be asked without echo',
  );
}

async function askTwice(format: SecretFormat): Promise<Buffer> {
  if (format === 'raw' || format === 'pem') {
    throw usageFailure(`a secret as ${format} cannot be typed`, ELSEWHERE);
  }
  const prompt = new HiddenPrompt(ELSEWHERE, 'secret');
  try {
    const secret = await prompt.ask(`Secret (${format}): `);
    if (secret === (await prompt.ask('Secret, again: '))) return Buffer.from(secret, 'utf8');
  } finally {
    prompt.close();
  }
  throw usageFailure('the two answers differ; nothing was changed');
}

/** @throws {CommandFailure} CONFIGURATION */
function openPrivate(file: string): number {
  const unusable = (why: string, cause?: unknown) =>
    new CommandFailure('CONFIGURATION', `secret file ${file} ${why}`, { cause });
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    throw unusable(`cannot be read: ${messageOf(error)}`, error);
  }
  const { mode } = fstatSync(fd);
  if ((mode & 0o077) === 0) return fd;
  closeSync(fd);
  throw unusable(
    `can be read by others (mode ${(mode & 0o777).toString(8)}): run chmod 600 on it, and ask for ` +
      'another secret if others may have seen it',
  );
}

async function readAll(name: string, stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of stream) {
      chunks.push(chunk);
      bytes += chunk.byteLength;
      if (bytes > MAX_SECRET_BYTES) {
        throw new CommandFailure(
          'DATA_TOO_LARGE',
          `${name} has more than ${MAX_SECRET_BYTES} bytes`,
        );
      }
    }
    return Buffer.concat(chunks);
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    throw new CommandFailure('USAGE', `${name} cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    for (const chunk of chunks) chunk.fill(0);
  }
}
