import { type CST, Parser } from 'yaml';

/** More than any document has that is meant. */
const MAX_DEPTH = 64;

/**
 * Where a YAML text gets deeper than this: the reader of documents, which calls itself for each level,
 * would end the whole process for want of stack.
 *
 * @returns an offset in the text, or undefined for one that is as flat as it should be
 */
export function tooDeepAt(text: string): number | undefined {
  let level: readonly CST.Token[] = [...new Parser().parse(text)];
  for (let depth = 0; depth <= MAX_DEPTH; depth += 1) level = level.flatMap(childrenOf);
  return level[0]?.offset;
}

function childrenOf(token: CST.Token): readonly CST.Token[] {
  if (token.type === 'document') return present([token.value]);
  if (!('items' in token)) return [];
  return token.items.flatMap(({ key, value }) => present([key, value]));
}

function present(tokens: readonly (CST.Token | null | undefined)[]): readonly CST.Token[] {
  return tokens.filter((token) => token !== null && token !== undefined);
}
