import {
  type Document,
  isCollection,
  isMap,
  isNode,
  isScalar,
  type Node,
  parseDocument,
  visit,
} from 'yaml';
import { tooDeepAt } from './yaml-depth.ts';

export type Path = readonly PropertyKey[];

/** Both from 1, as editors count. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface YamlProblem {
  readonly position: Position;
  readonly message: string;
}

/**
 * A YAML document that remembers where everything stands. It has no aliases: each part of a
 * configuration says in its own place what it means.
 */
export class YamlDocument {
  /** What keeps the text from being read; there is a {@link value} only when this is empty. */
  readonly problems: readonly YamlProblem[];
  readonly value: unknown;
  readonly #text: string;
  readonly #document: Document.Parsed;

  constructor(text: string) {
    this.#text = text;
    const deepAt = tooDeepAt(text);
    this.#document = parseDocument(deepAt === undefined ? text : '', {
      prettyErrors: false,
      stringKeys: true,
      uniqueKeys: true,
    });
    this.problems =
      deepAt === undefined
        ? [...this.#syntaxProblems(), ...this.#contentProblems()]
        : [{ position: this.#at(deepAt), message: 'nothing here is nested as deeply as this' }];
    this.value = this.problems.length > 0 ? undefined : this.#document.toJS();
  }

  has(path: Path): boolean {
    return this.#deepest(path).depth === path.length;
  }

  /** Where a value stands; for one that is absent, where the map or list stands that lacks it. */
  positionOf(path: Path): Position {
    return this.#position(this.#deepest(path).node);
  }

  /** Where the key stands that a path ends with. */
  positionOfKey(path: Path): Position {
    const { node: parent } = this.#deepest(path.slice(0, -1));
    const pair = isMap(parent)
      ? parent.items.find(({ key }) => isScalar(key) && key.value === path.at(-1))
      : undefined;
    return this.#position(isNode(pair?.key) ? pair.key : parent);
  }

  #deepest(path: Path): { readonly node: Node | null; readonly depth: number } {
    let node: Node | null = this.#document.contents;
    for (const [depth, step] of path.entries()) {
      const child: unknown = isCollection(node) ? node.get(step, true) : undefined;
      if (!isNode(child)) return { node, depth };
      node = child;
    }
    return { node, depth: path.length };
  }

  #position(node: Node | null): Position {
    return this.#at(node?.range?.[0] ?? 0);
  }

  #at(offset: number): Position {
    const before = this.#text.slice(0, offset);
    const lineStart = before.lastIndexOf('\n') + 1;
    return { line: before.split('\n').length, column: before.length - lineStart + 1 };
  }

  #syntaxProblems(): YamlProblem[] {
    // Warnings are about tags and directives that the parser does not know.
    const { errors, warnings } = this.#document;
    return [...errors, ...warnings].map(({ pos, message }) => ({
      position: this.#at(pos[0]),
      message,
    }));
  }

  #contentProblems(): YamlProblem[] {
    const problems: YamlProblem[] = [];
    const forbid = (node: Node, message: string) => {
      problems.push({ position: this.#position(node), message });
    };
    visit(this.#document, {
      Alias: (_, alias) => forbid(alias, 'aliases are not allowed; write the value out'),
      Pair: (_, { key }) => {
        // Objects hide a key of this name from those who check the others.
        if (isScalar(key) && key.value === '__proto__') forbid(key, 'a key cannot have this name');
      },
    });
    return problems;
  }
}
