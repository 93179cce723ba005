import { CommandFailure } from './command-failure.ts';
import { printable } from './layout.ts';

export const OUTPUT_FORMATS = ['table', 'json'] as const;

export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** Where a command writes to. */
export interface OutputStreams {
  readonly stdout: {
    /** @param done called when the text has gone, or cannot go any more */
    write(text: string | Uint8Array, done?: (error?: Error | null) => void): unknown;
  };
  readonly stderr: { write(text: string): unknown };
}

/** What a command tells: results on stdout, all else on stderr. */
export class Output {
  readonly #format: OutputFormat;
  readonly #streams: OutputStreams;

  constructor(format: OutputFormat, streams: OutputStreams) {
    this.#format = format;
    this.#streams = streams;
  }

  /**
   * @param document the result for programs, printed as one JSON document
   * @param text the result for people, or bytes that they have asked for
   */
  result(document: object, text: string | Uint8Array): void {
    this.#streams.stdout.write(this.#format === 'json' ? json(document) : text);
  }

  /** A line for people, beside the result. With JSON it is left out: the document says all. */
  note(line: string): void {
    if (this.#format === 'table') this.#streams.stderr.write(`${printable(line)}\n`);
  }

  /**
   * `sigilctl: what (REASON)`, the violations and the next step each on a line of its own; or a JSON
   * document `{ "error": { reason, message, nextStep?, violations?, retryAfterMs? } }`.
   */
  failure(error: unknown): void {
    const failure = asFailure(error);
    this.#streams.stderr.write(
      this.#format === 'json' ? json({ error: failureDocument(failure) }) : failureText(failure),
    );
  }
}

/** Anything else than a CommandFailure is a defect. */
export function asFailure(error: unknown): CommandFailure {
  if (error instanceof CommandFailure) return error;
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new CommandFailure('INTERNAL', `a defect of sigilctl: ${what}`, { cause: error });
}

function failureDocument({ reason, message, nextStep, violations, retryAfterMs }: CommandFailure) {
  return {
    reason,
    message,
    nextStep,
    violations: violations.length === 0 ? undefined : violations,
    retryAfterMs,
  };
}

function failureText(failure: CommandFailure): string {
  const message = failure.message.split('\n').map(printable).join('\n');
  const lines = [`sigilctl: ${message} (${printable(failure.reason)})`];
  for (const { field, description } of failure.violations) {
    // One violation alone often is the message.
    const line = `${field}: ${description}`;
    if (line !== failure.message) lines.push(`  ${printable(line)}`);
  }
  if (failure.nextStep !== undefined) lines.push(`  ${printable(failure.nextStep)}`);
  return `${lines.join('\n')}\n`;
}

function json(document: object): string {
  return `${JSON.stringify(document, undefined, 2)}\n`;
}
