import { closeSync, openSync, writeSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { CommandFailure, usageFailure } from './command-failure.ts';

const TERMINAL = '/dev/tty';

const MAX_ANSWER_CHARACTERS = 1_024;

const CTRL_C = '\u0003';
const CTRL_D = '\u0004';
const CTRL_U = '\u0015';
const BACKSPACE = '\b';
const DELETE = '\u007f';

/** Asks on the process's terminal, whatever its stdin and stdout are, and shows nothing of the answers. */
export class HiddenPrompt {
  readonly #output: number;
  readonly #input: ReadStream;
  readonly #characters: AsyncIterator<string, void>;

  /**
   * @param elsewhere tells the user how to give it without a terminal
   * @param what is asked for
   * @throws {CommandFailure} USAGE where there is no terminal
   */
  constructor(elsewhere: string, what = 'PIN') {
    this.#output = openTerminal('w', elsewhere, what);
    this.#input = new ReadStream(openTerminal('r', elsewhere, what));
    this.#input.setEncoding('utf8');
    // Also hands Ctrl-C to this class: the terminal shall not stay without echo.
    this.#input.setRawMode(true);
    this.#characters = charactersOf(this.#input);
  }

  /**
   * Waits for one line; Backspace and Ctrl-U edit it.
   *
   * @throws {CommandFailure} CANCELLED on Ctrl-C, Ctrl-D and when the terminal goes away
   */
  async ask(question: string): Promise<string> {
    writeSync(this.#output, question);
    try {
      return await this.#line();
    } finally {
      writeSync(this.#output, '\n');
    }
  }

  close(): void {
    this.#input.setRawMode(false);
    this.#input.destroy();
    closeSync(this.#output);
  }

  async #line(): Promise<string> {
    let line: readonly string[] = [];
    while (line.length < MAX_ANSWER_CHARACTERS) {
      const { done, value } = await this.#characters.next();
      if (done || value === CTRL_C || value === CTRL_D) throw cancelled();
      if (value === '\r' || value === '\n') return line.join('');
      line = edited(line, value);
    }
    throw usageFailure(`the answer has more than ${MAX_ANSWER_CHARACTERS} characters`);
  }
}

function edited(line: readonly string[], character: string): readonly string[] {
  switch (character) {
    case BACKSPACE:
    case DELETE:
      return line.slice(0, -1);
    case CTRL_U:
      return [];
    default:
      return [...line, character];
  }
}

/** What was pasted arrives at once and is kept for the questions to come. */
async function* charactersOf(input: AsyncIterable<string>): AsyncGenerator<string, void> {
  try {
    for await (const chunk of input) yield* chunk;
  } catch {
    // A terminal that hangs up is an error to the stream; here it ends the answers.
  }
}

function openTerminal(flags: string, elsewhere: string, what: string): number {
  try {
    return openSync(TERMINAL, flags);
  } catch (error) {
    throw new CommandFailure('USAGE', `no ${what}, and no terminal to ask for it`, {
      nextStep: elsewhere,
      cause: error,
    });
  }
}

function cancelled(): CommandFailure {
  return new CommandFailure('CANCELLED', 'cancelled before anything was changed');
}
