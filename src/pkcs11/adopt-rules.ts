import type { Algorithm } from '../domain/algorithm.ts';
import { type NamePattern, namePattern } from '../domain/name-pattern.ts';
import type { AdoptRule } from '../domain/token-options.ts';
import { decodeVersionId } from '../domain/version-id.ts';

/** What an object says of itself. */
interface Claim {
  readonly key: string;
  readonly ckaId: Buffer | undefined;
  /** CKA_PRIVATE. */
  readonly needsLogin: boolean;
}

/** Which keys of other tools sigild serves, and as what. */
export class AdoptRules {
  readonly #rules: readonly { readonly matches: NamePattern; readonly algorithm: Algorithm }[];

  constructor(rules: readonly AdoptRule[]) {
    this.#rules = rules.map(({ label, algorithm }) => ({ matches: namePattern(label), algorithm }));
  }

  /** What a key of this name is for; the first rule that matches counts. */
  algorithmOf(name: string): Algorithm | undefined {
    return this.#rules.find((rule) => rule.matches(name))?.algorithm;
  }

  /**
   * Whether an object can be what it says. Without the PIN one can put objects onto a token that are
   * not private, with any name and CKA_ID: such a one is no version that sigild has made, and a key
   * at all only where a rule says so.
   */
  believe({ key, ckaId = Buffer.alloc(0), needsLogin }: Claim): boolean {
    return needsLogin || (this.algorithmOf(key) !== undefined && !decodeVersionId(ckaId));
  }
}
