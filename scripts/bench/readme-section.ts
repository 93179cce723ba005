import { ratioTexts } from './figures.ts';
import { type Machine, machineSummary } from './machine.ts';
import { outcomeCells } from './report.ts';
import type { Outcome, Scenario } from './scenario.ts';

const BEGIN = '<!-- benchmarks: what follows is made by npm run bench -->\n';
const END = '<!-- end of the benchmarks -->\n';

/** In front of each scenario's part. */
const PART = /^<!-- benchmark (?<name>[a-z][a-z0-9-]*) -->\n/m;

/** What the README says of a scenario's outcome. */
export function readmePart(
  { name, summary }: Pick<Scenario, 'name' | 'summary'>,
  machine: Machine,
  outcome: Outcome,
  { seconds, rounds }: { readonly seconds: number; readonly rounds: number },
): string {
  const [titles, ...rows] = outcomeCells(outcome);
  const lines = [titles ?? [], titles?.map((_, column) => (column === 0 ? '---' : '---:')) ?? []];
  const table = [...lines, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  const ratios = ratioTexts(outcome.ratios).map(([ratio, value]) => `- \`${ratio}\` = ${value}`);
  return [
    `### ${name}: ${summary}`,
    table,
    ...(ratios.length > 0 ? [ratios.join('\n')] : []),
    `${machineSummary(machine).join('; ')}; made with \`--seconds ${seconds} --rounds ${rounds}\`.`,
  ].join('\n\n');
}

/**
 * Puts parts into the README's place for benchmarks, each where the scenario's former part was, and
 * keeps those of other scenarios.
 *
 * @param made by the scenarios' names
 * @param order the names of all scenarios
 * @throws {Error} when the text has no such place, or more than one
 */
export function withParts(
  readme: string,
  made: ReadonlyMap<string, string>,
  order: readonly string[],
): string {
  const [before = '', section = '', after = ''] = placeIn(readme);
  const parts = new Map([...partsIn(section), ...made]);
  const shown = order.flatMap((name) => {
    const part = parts.get(name);
    return part === undefined ? [] : [`<!-- benchmark ${name} -->\n${part}\n`];
  });
  return [before, BEGIN, ...shown.map((part) => `\n${part}`), '\n', END, after].join('');
}

/** @returns what stands before, in and after the place @throws {Error} */
function placeIn(readme: string): readonly string[] {
  const pieces = readme.split(BEGIN);
  const rest = pieces[1]?.split(END);
  if (pieces.length !== 2 || rest?.length !== 2) {
    throw new Error(`--readme needs a file with two lines, once each:\n${BEGIN}${END}`.trim());
  }
  return [pieces[0] ?? '', ...rest];
}

/** The parts by their scenarios' names. */
export function partsIn(section: string): [name: string, part: string][] {
  const [, ...pieces] = section.split(PART);
  return pieces.flatMap((name, index): [string, string][] =>
    index % 2 === 0 ? [[name, pieces[index + 1]?.trim() ?? '']] : [],
  );
}
