import { readSync } from 'node:fs';
import { isatty } from 'node:tty';
import { readPin } from '../pkcs11/login.ts';
import type { NewPins } from '../pkcs11/token-initialization.ts';
import { CommandFailure, messageOf, usageFailure } from './command-failure.ts';
import { HiddenPrompt } from './hidden-prompt.ts';

/** Longer than any token's PIN. */
const MAX_PIN_BYTES = 1_024;

const NEWLINE = 0x0a;

const NEW_PINS_ELSEWHERE =
  'give PINs by --so-pin-file and --pin-file, or by --so-pin-fd and --pin-fd';
const USER_PIN_ELSEWHERE = 'give the PIN by --pin-file or --pin-fd';

/** Where a PIN comes from: a file, else a file descriptor, else the terminal. */
export interface PinInput {
  /** What the PIN is, for prompts and messages. */
  readonly name: string;
  readonly file: string | undefined;
  readonly fd: number | undefined;
}

/**
 * Reads the SO PIN, then the user PIN. The terminal is asked twice for each.
 *
 * @throws {CommandFailure} CONFIGURATION when a PIN cannot be read, USAGE when there is no terminal
 *   or the answers differ, CANCELLED
 * @throws {StartFailure} configuration, for a PIN file
 */
export async function readNewPins(so: PinInput, user: PinInput): Promise<NewPins> {
  const prompt = isAsked(so) || isAsked(user) ? new HiddenPrompt(NEW_PINS_ELSEWHERE) : undefined;
  const read = (input: PinInput) => readFrom(input, () => askTwice(input.name, prompt));
  try {
    return { so: await read(so), user: await read(user) };
  } finally {
    prompt?.close();
  }
}

/**
 * Reads the user PIN of a token. The terminal is asked once.
 *
 * @throws as {@link readNewPins}
 */
export async function readUserPin(user: PinInput): Promise<string> {
  const prompt = isAsked(user) ? new HiddenPrompt(USER_PIN_ELSEWHERE) : undefined;
  try {
    return await readFrom(user, async () => (await prompt?.ask('User PIN: ')) ?? '');
  } finally {
    prompt?.close();
  }
}

function isAsked({ file, fd }: PinInput): boolean {
  return file === undefined && fd === undefined;
}

async function readFrom({ name, file, fd }: PinInput, ask: () => Promise<string>): Promise<string> {
  if (file !== undefined) return readPin({ file, credential: false });
  const pin = fd === undefined ? await ask() : readLine(name, fd);
  if (pin !== '') return pin;
  throw new CommandFailure('CONFIGURATION', `the ${name} is empty`);
}

async function askTwice(name: string, prompt: HiddenPrompt | undefined): Promise<string> {
  const pin = await prompt?.ask(`New ${name}: `);
  const again = await prompt?.ask(`New ${name}, again: `);
  if (pin !== undefined && pin === again) return pin;
  throw usageFailure(`the two answers for the ${name} differ; nothing was changed`);
}

/**
 * Reads to the end of the line and not beyond: a descriptor can hold several PINs, one a line.
 *
 * @throws {CommandFailure} CONFIGURATION
 */
function readLine(name: string, fd: number): string {
  // A terminal would show what is typed.
  if (isatty(fd)) {
    throw usageFailure(
      `the ${name} cannot come from descriptor ${fd}: it is a terminal`,
      'leave the option out to be asked without echo',
    );
  }
  const buffer = Buffer.alloc(MAX_PIN_BYTES);
  try {
    return readLineInto(buffer, fd).toString('utf8').replace(/\r$/, '');
  } catch (error) {
    throw new CommandFailure(
      'CONFIGURATION',
      `the ${name} cannot be read from descriptor ${fd}: ${messageOf(error)}`,
      { cause: error },
    );
  } finally {
    buffer.fill(0);
  }
}

/** @returns the part of the buffer that holds the line, without its end */
function readLineInto(buffer: Buffer, fd: number): Buffer {
  for (let length = 0; length < buffer.byteLength; length += 1) {
    const atEnd = readSync(fd, buffer, length, 1, null) === 0;
    if (atEnd || buffer[length] === NEWLINE) return buffer.subarray(0, length);
  }
  throw new Error(`the line has more than ${buffer.byteLength} bytes`);
}
