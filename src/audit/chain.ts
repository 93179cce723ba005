import { hashOf } from './line-hash.ts';

/** Where a log ends: what the next line goes on from. */
export interface ChainEnd {
  /** Of the last line; 0 where there is none. */
  readonly seq: number;
  /** The last line's hash; ZERO_HASH where there is none. */
  readonly hash: string;
}

/** What comes before the kind of a line that follows this end. */
export function lineStart(end: ChainEnd, boot: string, time: string): string {
  return `{"seq":${end.seq + 1},"prev":"${end.hash}","time":"${time}","boot":"${boot}",`;
}

/** The end when this line has been added, which is given without its LF. */
export function endAfter(end: ChainEnd, line: string): ChainEnd {
  return { seq: end.seq + 1, hash: hashOf(line) };
}

/** Lines that follow each other, and the end after them. */
export interface ChainedLines {
  /** Each with its LF. */
  readonly text: string;
  readonly end: ChainEnd;
}

/** @param bodies of lines, from their kinds on */
export function chained(
  end: ChainEnd,
  bodies: readonly string[],
  boot: string,
  time: string,
): ChainedLines {
  let text = '';
  let { seq, hash } = end;
  for (const body of bodies) {
    const line = `${lineStart({ seq, hash }, boot, time)}${body}}`;
    seq += 1;
    hash = hashOf(line);
    text += `${line}\n`;
  }
  return { text, end: { seq, hash } };
}

/** What tells the time of lines, many of which are written in one millisecond. */
export function isoClock(now: () => number): () => string {
  let latestMs = Number.NaN;
  let text = '';
  return () => {
    const nowMs = now();
    if (nowMs !== latestMs) text = new Date(nowMs).toISOString();
    latestMs = nowMs;
    return text;
  };
}
