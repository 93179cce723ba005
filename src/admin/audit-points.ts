import type { AuditHead } from '../domain/audit-seal.ts';
import type { AuditChain, ChainPoint, LinePlace, LogProblem } from './audit-chain.ts';

/** A line that is kept elsewhere than in the log: by the token, or by whoever verifies. */
class KeptPoint {
  readonly head: AuditHead;
  isSeen = false;
  /** Where another line than this one stands. */
  other: LinePlace | undefined;

  constructor(head: AuditHead) {
    this.head = head;
  }

  see({ seq, hash }: ChainPoint, place: LinePlace | undefined): void {
    if (seq !== this.head.seq) return;
    this.isSeen = hash === this.head.hash;
    if (!this.isSeen) this.other = place;
  }
}

/** Looks for lines that are kept elsewhere while a log passes. */
export class KeptPoints {
  readonly #heads: ReadonlyMap<string, KeptPoint>;
  readonly #expected: KeptPoint | undefined;

  /** @param heads by the UUIDs of their logs */
  constructor(heads: ReadonlyMap<string, AuditHead>, expected: AuditHead | undefined) {
    this.#heads = new Map([...heads].map(([log, head]) => [log, new KeptPoint(head)]));
    this.#expected = expected && new KeptPoint(expected);
  }

  see(point: ChainPoint, place: LinePlace | undefined): void {
    this.#expected?.see(point, place);
    for (const head of this.#heads.values()) head.see(point, place);
  }

  /** @param log undefined where no line has told it: then it is any of the token's */
  isHeadSeen(log: string | undefined): boolean {
    return this.#headsOf(log).some(({ isSeen }) => isSeen);
  }

  /**
   * @param isContinued whether lines after the last one are in other files
   * @returns what the lines that were seen have not, though it is kept elsewhere
   */
  problem(
    { last, place, findings: { log } }: AuditChain,
    after: ChainPoint,
    isContinued: boolean,
  ): LogProblem | undefined {
    const end = { file: place?.file ?? '', line: place?.line ?? 0, seq: last.seq };
    const lost = (point: KeptPoint, what: string): LogProblem => {
      if (point.other) {
        return { kind: 'changed', ...point.other, message: `it is not the line that ${what}` };
      }
      const message = `the line with seq ${point.head.seq}, which ${what}, is not there`;
      return { kind: point.head.seq > last.seq ? 'cut' : 'removed', ...end, message };
    };
    if (this.#expected && !this.#expected.isSeen) return lost(this.#expected, 'is expected');
    if (this.isHeadSeen(log)) return undefined;
    // Of a log that goes on, or that begins behind it, the token's newest seal stands elsewhere.
    const heads = this.#headsOf(log).filter(
      ({ head: { seq } }) => seq > after.seq && !(isContinued && seq > last.seq),
    );
    const [head] = heads;
    return head && lost(head, 'the token has kept as the newest seal');
  }

  #headsOf(log: string | undefined): KeptPoint[] {
    if (log === undefined) return [...this.#heads.values()];
    const head = this.#heads.get(log);
    return head ? [head] : [];
  }
}
