import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseDuration } from '../domain/duration.ts';
import { OUTPUT_FORMATS, Output, type OutputFormat, type OutputStreams } from './output.ts';

/** One run of sigilctl. */
export interface Invocation {
  readonly streams: OutputStreams;
  /** The daemon's address where the command line names none. */
  readonly defaultAddress: string | undefined;
  /** How the run ends when its command does not fail. */
  exitCode: number;
}

/** What a command has to tell. */
export interface CommandResult {
  /** For programs: printed as one JSON document. */
  readonly document: object;
  /** For people; bytes are written as they are. */
  readonly text: string | Uint8Array;
  /** For people, on stderr. */
  readonly note?: string;
  readonly exitCode?: number;
}

/** Adds a command with what all commands have: the choice of the output, and examples in its help. */
export function addCommand(
  parent: Command,
  usage: string,
  description: string,
  examples: readonly string[],
): Command {
  return parent
    .command(usage)
    .description(description)
    .addOption(
      new Option('-o, --output <format>', 'table for people, json for programs')
        .choices(OUTPUT_FORMATS)
        .default('table'),
    )
    .addHelpText('after', exampleText(examples));
}

/** Adds a command that only has sub-commands. */
export function addGroup(
  parent: Command,
  name: string,
  description: string,
  examples: readonly string[],
): Command {
  return parent.command(name).description(description).addHelpText('after', exampleText(examples));
}

export function exampleText(examples: readonly string[]): string {
  return `\nExamples:\n${examples.map((line) => `  ${line}`).join('\n')}`;
}

/** Makes a command's action of the work that it does. */
export function printing<Args extends readonly unknown[]>(
  invocation: Invocation,
  work: (...args: Args) => Promise<CommandResult>,
): (this: Command, ...args: Args) => Promise<void> {
  return async function (...args) {
    const { document, text, note, exitCode } = await work(...args);
    const { output } = this.opts<{ output: OutputFormat }>();
    const printer = new Output(output, invocation.streams);
    printer.result(document, text);
    if (note !== undefined) printer.note(note);
    invocation.exitCode = exitCode ?? 0;
  };
}

/** Parses an option's argument, such as 90d or 12h. @returns milliseconds */
export function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  throw new InvalidArgumentError('It must be a number and its unit: 90d, 12h, 30m or 45s.');
}

/** Parses an option's argument. */
export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be an integer from ${min} to ${max}.`);
  };
}
