import { readFileSync } from 'node:fs';

/** The README's text. */
export const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

export interface CodeBlock {
  /** What stands behind the opening fence. */
  readonly language: string;
  readonly code: string;
}

export const CODE_BLOCKS: readonly CodeBlock[] = [
  ...README.matchAll(/^```(?<language>\w*)\n(?<code>.*?)^```$/gms),
].map(({ groups }) => ({ language: groups?.['language'] ?? '', code: groups?.['code'] ?? '' }));

/** The cells of each row of the first table under a heading, without the head and without backticks. */
export function tableUnder(heading: string): string[][] {
  const [, section = ''] = README.split(`\n## ${heading}\n`);
  const [table = ''] = /^\|.*\n(?:\|.*\n)+/m.exec(section.split('\n## ')[0] ?? '') ?? [];
  const [, , ...rows] = table.trimEnd().split('\n');
  return rows.map((row) =>
    row
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim().replaceAll('`', '')),
  );
}
