import { inOrder, type LogLine, linesIn, linesOf, logFiles } from './audit-files.ts';
import { type AuditFilter, passes } from './audit-filter.ts';
import { followLines } from './audit-follow.ts';
import { printedLine, readLogLine } from './audit-line-text.ts';
import { LineOutput } from './line-output.ts';
import type { OutputFormat, OutputStreams } from './output.ts';

export interface TailOptions {
  readonly output: OutputFormat;
  /** How many of the last lines; they are kept in memory. */
  readonly lines: number;
  readonly follow?: boolean;
}

export interface QueryOptions extends AuditFilter {
  readonly output: OutputFormat;
}

/** `audit tail`. With follow it ends when nobody reads any more. */
export async function tail(
  file: string,
  { output, lines, follow = false }: TailOptions,
  streams: OutputStreams,
): Promise<void> {
  const printer = new LinePrinter(output, streams);
  let last: LogLine[] = [];
  let isAtEnd = false;
  for await (const found of follow ? followLines(file) : batchesOf(file)) {
    if (isAtEnd) await printer.printAll(found ?? []);
    else if (found) last = [...last, ...found].slice(-lines);
    else {
      isAtEnd = true;
      await printer.printAll(last);
      last = [];
    }
    if (!printer.isOpen) return;
  }
}

/** `audit query`: lines that cannot be read are told of too, since they may have been meant. */
export async function query(
  files: readonly string[],
  { output, ...filter }: QueryOptions,
  streams: OutputStreams,
): Promise<void> {
  const printer = new LinePrinter(output, streams, filter);
  for await (const found of linesOf(await inOrder(logFiles(files)))) {
    await printer.print(found);
    if (!printer.isOpen) return;
  }
  await printer.flush();
}

/** All lines of a file, then the word that there are no more. */
async function* batchesOf(
  file: string,
): AsyncGenerator<readonly LogLine[] | undefined, void, undefined> {
  for await (const lines of linesIn(file)) yield lines.map((line) => ({ file, line }));
  yield undefined;
}

/** Prints those lines of a log that pass a filter. */
class LinePrinter {
  readonly #format: OutputFormat;
  readonly #output: LineOutput;
  readonly #filter: AuditFilter;
  #unreadable: LogLine | undefined;

  constructor(format: OutputFormat, streams: OutputStreams, filter: AuditFilter = {}) {
    this.#format = format;
    this.#output = new LineOutput(streams);
    this.#filter = filter;
  }

  get isOpen(): boolean {
    return this.#output.isOpen;
  }

  async print(found: LogLine): Promise<void> {
    const read = readLogLine(found);
    const isPrinted =
      read.wrong === undefined ? passes(this.#filter, read.line) : this.#isNewlyUnreadable(found);
    if (isPrinted) await this.#output.write(printedLine(found, read, this.#format));
  }

  async printAll(lines: readonly LogLine[]): Promise<void> {
    for (const line of lines) await this.print(line);
    await this.flush();
  }

  flush(): Promise<void> {
    return this.#output.flush();
  }

  /** A line that is too long comes in parts, and is told of once. */
  #isNewlyUnreadable(found: LogLine): boolean {
    const before = this.#unreadable;
    this.#unreadable = found;
    return before?.file !== found.file || before.line.number !== found.line.number;
  }
}
