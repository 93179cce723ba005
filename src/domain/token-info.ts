import type { Algorithm } from './algorithm.ts';
import type { Warmth } from './token-options.ts';

/** Whether keys can be made for an algorithm and used. */
export interface AlgorithmSupport {
  readonly algorithm: Algorithm;
  /** What the token lacks for it; undefined where it can do all. */
  readonly lacks: string | undefined;
}

/** Whether the token does what an attribute says. */
export interface AttributeSupport {
  /** As the token's interface calls it, for instance `CKA_COPYABLE`. */
  readonly attribute: string;
  /** Undefined where that could not be found out. */
  readonly enforced: boolean | undefined;
  /** What the token did. */
  readonly found: string;
}

/** Whether a token keeps what sigild writes down of keys: their settings and destructions. */
export interface RecordSupport {
  /** Undefined where that could not be found out. */
  readonly kept: boolean | undefined;
  /** What the token did. */
  readonly found: string;
}

/** What a token is, in its own words, and what it does when it is tried. */
export interface TokenFacts {
  readonly label: string;
  readonly serial: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly hardwareVersion: string;
  readonly firmwareVersion: string;
  /** Every algorithm of sigild. */
  readonly algorithms: readonly AlgorithmSupport[];
  /** Those attributes that sigild relies on, or can. */
  readonly attributes: readonly AttributeSupport[];
  readonly records: RecordSupport;
}

/** A process that uses keys. */
export interface TokenUser {
  readonly sessions: number;
  /** Whether it signs with copies of keys, and why. */
  readonly warmth: Warmth;
}

export interface TokenInfo extends TokenFacts {
  readonly hosts: readonly TokenUser[];
}
