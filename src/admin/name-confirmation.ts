import { openSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { ReadStream, WriteStream } from 'node:tty';
import { CommandFailure, usageFailure } from './command-failure.ts';

const TERMINAL = '/dev/tty';

/**
 * Has the user type a name again before something is done that cannot be undone for ever.
 *
 * @param what for the question, as in "version 2 is the last one of key webhooks"
 * @param given what the command line says; undefined: it is asked for on the process's terminal
 * @throws {CommandFailure} USAGE where the answer is another one, or there is no terminal, CANCELLED on
 *   Ctrl-C and Ctrl-D
 */
export async function confirmName(
  name: string,
  what: string,
  given: string | undefined,
): Promise<void> {
  const answer = given ?? (await ask(`${what}; type the key's name to go on: `, what, name));
  if (answer === name) return;
  throw usageFailure(
    `${what}, and the name given to confirm that is not ${name}; nothing was changed`,
  );
}

async function ask(question: string, what: string, name: string): Promise<string> {
  const terminal = openTerminal(what, name);
  const [input, output] = [new ReadStream(terminal), new WriteStream(terminal)];
  const prompt = createInterface({ input, output });
  const cancelled = new AbortController();
  prompt.once('SIGINT', () => cancelled.abort());
  prompt.once('close', () => cancelled.abort());
  try {
    return (await prompt.question(question, { signal: cancelled.signal })).trim();
  } catch (error) {
    if (!cancelled.signal.aborted) throw error;
    throw new CommandFailure('CANCELLED', 'cancelled before anything was changed');
  } finally {
    prompt.close();
    input.destroy();
    output.destroy();
  }
}

function openTerminal(what: string, name: string): number {
  try {
    return openSync(TERMINAL, 'r+');
  } catch (error) {
    throw new CommandFailure('USAGE', `${what}, and there is no terminal to confirm that on`, {
      nextStep: `repeat with --confirm ${name}`,
      cause: error,
    });
  }
}
