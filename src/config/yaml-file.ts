import { readFileSync } from 'node:fs';
import type * as z from 'zod';
import { ConfigError } from './config-error.ts';
import { type Path, type Position, YamlDocument } from './yaml-document.ts';

interface Problem {
  readonly position: Position;
  /** What it is about, for instance `listeners[0].tls.key`. */
  readonly subject: string;
  readonly message: string;
}

/**
 * Reads a YAML file and checks all of it before it gives up, so that its author sees every problem at
 * once, each as `FILE:LINE:COLUMN: path: what is wrong`.
 *
 * @param whole what to call the document as a whole, for instance `configuration`
 * @throws {ConfigError} when the file cannot be read or any part of it is wrong
 */
export function readYamlFile<Schema extends z.ZodType>(
  file: string,
  schema: Schema,
  whole: string,
): z.output<Schema> {
  const document = new YamlDocument(read(file));
  if (document.problems.length > 0) {
    throw configError(
      file,
      document.problems.map((problem) => ({ ...problem, subject: 'YAML' })),
    );
  }
  const result = schema.safeParse(document.value);
  if (result.success) return result.data;
  throw configError(
    file,
    result.error.issues.flatMap((issue) => describe(issue, document, whole)),
  );
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError([`${file}: cannot be read: ${reason}`], { cause: error });
  }
}

function describe(issue: z.core.$ZodIssue, document: YamlDocument, whole: string): Problem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      position: document.positionOfKey([...issue.path, key]),
      subject: pathText([...issue.path, key], whole),
      message: issue.message,
    }));
  }
  const absence = document.has(issue.path) ? '' : 'is missing: ';
  return [
    {
      position: document.positionOf(issue.path),
      subject: pathText(issue.path, whole),
      message: absence + issue.message,
    },
  ];
}

function configError(file: string, problems: readonly Problem[]): ConfigError {
  const lines = problems
    .toSorted((a, b) => a.position.line - b.position.line || a.position.column - b.position.column)
    .map(
      ({ position: { line, column }, subject, message }) =>
        `${file}:${line}:${column}: ${subject}: ${message}`,
    );
  // One value can break several rules that say the same.
  return new ConfigError([...new Set(lines)]);
}

/** Keys that are no identifiers stand in quotes, so that no key can break a line or imitate a path. */
function pathText(path: Path, whole: string): string {
  const text = path
    .map((step) => {
      if (typeof step === 'number') return `[${step}]`;
      return /^\w+$/.test(String(step)) ? `.${String(step)}` : `[${JSON.stringify(step)}]`;
    })
    .join('');
  return text.replace(/^\./, '') || whole;
}
