import type { Hash } from 'node:crypto';
import { hashOf, tornHash } from '../audit/line-hash.ts';
import {
  type AuditLine,
  readAuditLine,
  type SealLine,
  type StartLine,
  ZERO_HASH,
} from '../domain/audit-line.ts';
import { sealText, unsealedPart } from '../domain/audit-seal.ts';
import type { FileLine } from './line-splitter.ts';

/** Where a line of a log stands. */
export interface LinePlace {
  readonly file: string;
  /** From 1; 0 where the file has none. */
  readonly line: number;
  /** The line's number in the log, as far as it is known. */
  readonly seq?: number | undefined;
}

/** What is wrong with a log; `seal` where its seals prove nothing. */
export interface LogProblem extends LinePlace {
  readonly kind: 'changed' | 'removed' | 'inserted' | 'reordered' | 'torn' | 'cut' | 'seal';
  readonly message: string;
}

/** A line's place in the chain, from which the next one is checked. */
export interface ChainPoint {
  readonly seq: number;
  /** Hexadecimal SHA-256 of the line; undefined where it is not known. */
  readonly hash: string | undefined;
}

/** What is known of a log, as far as it was followed. */
export interface ChainFindings {
  /** The log's UUID, once a line has told it. */
  readonly log: string | undefined;
  readonly lines: number;
  /** The last line that is right. */
  readonly end: ChainPoint;
  /** Those that were checked, or that stand there where none is. */
  readonly seals: number;
  readonly lastSeal: { readonly seq: number; readonly time: string } | undefined;
  /** What a start line has taken up. */
  readonly torn: { readonly parts: number; readonly last: LinePlace | undefined };
}

export const BEFORE_FIRST: ChainPoint = { seq: 0, hash: ZERO_HASH };

/** What a seal's MAC turned out to be: the audit key's, another's, or there is no such key to ask. */
export type SealVerdict = 'sealed' | 'other' | 'no-key';

/** @param auditKey hexadecimal CKA_ID; undefined where no line tells it: each is tried */
export type CheckSeal = (
  auditKey: string | undefined,
  text: Uint8Array,
  mac: string,
) => SealVerdict;

/** Lines that cannot be read, of which the first may be torn, until a start line carries their hash. */
interface TornPart {
  readonly place: LinePlace;
  readonly why: string;
  readonly hash: Hash;
  isEnded: boolean;
}

/** Follows the chain of one log from line to line, in constant memory. */
export class AuditChain {
  readonly #checkSeal: CheckSeal | undefined;
  #last: ChainPoint;
  #place: LinePlace | undefined;
  #torn: TornPart | undefined;
  #start: StartLine | undefined;
  #seals = 0;
  #lastSeal: SealLine | undefined;
  #lines = 0;
  #tornParts = 0;
  #lastTorn: LinePlace | undefined;

  /**
   * @param after what the first line follows
   * @param checkSeal undefined to follow the chain alone
   */
  constructor(after: ChainPoint, checkSeal: CheckSeal | undefined) {
    this.#last = after;
    this.#checkSeal = checkSeal;
  }

  /** The last line that was taken, or what the first one follows. */
  get last(): ChainPoint {
    return this.#last;
  }

  /** Where the last line stands; undefined where there was none. */
  get place(): LinePlace | undefined {
    return this.#place;
  }

  /** What was found so far. */
  get findings(): ChainFindings {
    const seal = this.#lastSeal;
    return {
      log: this.#start?.log,
      lines: this.#lines,
      end: this.#last,
      seals: this.#seals,
      lastSeal: seal && { seq: seal.seq, time: seal.time },
      torn: { parts: this.#tornParts, last: this.#lastTorn },
    };
  }

  /** Takes the next line. @returns what is wrong with it or with what stands before it */
  take(raw: FileLine, file: string): LogProblem | undefined {
    const place = { file, line: raw.number, seq: this.#last.seq + 1 };
    const read = raw.isWhole ? readAuditLine(raw.bytes) : { wrong: whyNotWhole(raw) };
    if (read.wrong !== undefined) {
      this.#tear(raw, place, read.wrong);
      return undefined;
    }
    const { line } = read;
    const found = { file, line: raw.number, seq: line.seq };
    const problem =
      this.#broken(line, found) ??
      this.#misplaced(line, found) ??
      (line.kind === 'seal' ? this.#unsealed(line, read.text, found) : undefined);
    if (problem) return problem;
    this.#lines += 1;
    this.#last = { seq: line.seq, hash: hashOf(raw.bytes) };
    this.#place = found;
    if (line.kind === 'start') this.#start = line;
    return undefined;
  }

  /** @returns what is wrong with the end */
  finish(): LogProblem | undefined {
    return this.#torn && this.#tornProblem(this.#torn);
  }

  #tear(raw: FileLine, place: LinePlace, why: string): void {
    this.#torn ??= { place, why, hash: tornHash(this.#last.hash ?? ''), isEnded: false };
    const torn = this.#torn;
    if (torn.isEnded) torn.hash.update('\n');
    torn.hash.update(raw.bytes);
    torn.isEnded = raw.isEnded;
  }

  /** Whether the line does not follow the one before, or the torn part before it. */
  #broken(line: AuditLine, found: LinePlace): LogProblem | undefined {
    const torn = this.#torn;
    if (!torn) return this.#unlinked(line, found);
    const isTakenUp =
      line.kind === 'start' &&
      line.seq === this.#last.seq + 2 &&
      line.prev === torn.hash.digest('hex');
    if (!isTakenUp) return this.#tornProblem(torn);
    this.#torn = undefined;
    this.#tornParts += 1;
    this.#lastTorn = torn.place;
    return undefined;
  }

  #unlinked({ seq, prev }: AuditLine, found: LinePlace): LogProblem | undefined {
    const expected = this.#last.seq + 1;
    if (seq > expected) return { kind: 'removed', ...found, message: missing(expected, seq - 1) };
    if (seq < expected) {
      const message = `a line with seq ${expected} belongs there; this one is not of this place`;
      return { kind: 'inserted', ...found, message };
    }
    if (this.#last.hash === undefined || this.#last.hash === prev) return undefined;
    const message = 'its prev is not the hash of the line before';
    return { kind: 'changed', ...found, message };
  }

  #misplaced(line: AuditLine, found: LinePlace): LogProblem | undefined {
    if (line.seq === 1 && line.kind !== 'start') {
      return { kind: 'changed', ...found, message: 'the first line of a log is a start' };
    }
    if (line.kind !== 'start' || !this.#start || this.#start.log === line.log) return undefined;
    return { kind: 'inserted', ...found, message: `it is of another log, ${line.log}` };
  }

  #unsealed(line: SealLine, text: string, found: LinePlace): LogProblem | undefined {
    const auditKey = this.#start?.auditKey;
    const unsealed = sealText(unsealedPart(text));
    const verdict = this.#checkSeal?.(auditKey, unsealed, line.mac) ?? 'sealed';
    if (verdict === 'no-key') return { kind: 'seal', ...found, message: noKey(auditKey) };
    if (verdict === 'other') {
      const since = this.#lastSeal ? `the seal with seq ${this.#lastSeal.seq}` : 'the first line';
      const message = `its MAC is not the audit key's: this line, or one since ${since}, was changed`;
      return { kind: 'changed', ...found, message };
    }
    this.#seals += 1;
    this.#lastSeal = line;
    return undefined;
  }

  #tornProblem({ place, why, isEnded }: TornPart): LogProblem {
    const kind = isEnded ? 'changed' : 'torn';
    return { kind, ...place, message: `${why}, and no start line follows that carries its hash` };
  }
}

function whyNotWhole({ isEnded }: FileLine): string {
  return isEnded ? 'it is longer than any line' : 'it has no end';
}

function missing(from: number, to: number): string {
  return from === to ? `the line with seq ${from} is missing` : `seq ${from} to ${to} are missing`;
}

function noKey(auditKey: string | undefined): string {
  const key = auditKey === undefined ? 'an audit key' : `the audit key with id ${auditKey}`;
  return `the token does not hold ${key}, so its seals cannot be checked: is it the right token?`;
}
