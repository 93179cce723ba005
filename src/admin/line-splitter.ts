/** A line of a file, or a part of one that is longer than allowed. */
export interface FileLine {
  /** From 1; parts of one line have one number. */
  readonly number: number;
  /** Without the LF. */
  readonly bytes: Buffer;
  /** Whether an LF follows. */
  readonly isEnded: boolean;
  /** Whether it is all of a line, with its LF. */
  readonly isWhole: boolean;
}

const LF = 0x0a;

/** Cuts bytes, which come in pieces, into lines. It keeps less than one line of the longest length. */
export class LineSplitter {
  readonly #maxBytes: number;
  #rest: Buffer = Buffer.alloc(0);
  #number = 1;
  /** Whether a part of the line that comes has been given out. */
  #isInside = false;

  /** @param maxBytes of a line, its LF included; what is longer is given out in parts */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether the last line has no end yet. */
  get isInLine(): boolean {
    return this.#isInside || this.#rest.byteLength > 0;
  }

  /** @returns the lines that end in the piece, and parts of longer ones */
  push(piece: Buffer): FileLine[] {
    const bytes = this.#rest.byteLength === 0 ? piece : Buffer.concat([this.#rest, piece]);
    const lines: FileLine[] = [];
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(LF, start);
      const stop = end === -1 ? bytes.byteLength : end;
      for (; stop - start >= this.#maxBytes; start += this.#maxBytes) {
        lines.push(this.#part(bytes.subarray(start, start + this.#maxBytes)));
      }
      if (end === -1) break;
      lines.push(this.#end(bytes.subarray(start, end)));
      start = end + 1;
    }
    // A copy: the piece itself can be much longer.
    this.#rest = Buffer.from(bytes.subarray(start));
    return lines;
  }

  /** @returns what is left without an LF at the end of the file */
  finish(): FileLine[] {
    return this.#rest.byteLength > 0 ? [this.#part(this.#rest)] : [];
  }

  #part(bytes: Buffer): FileLine {
    this.#isInside = true;
    return { number: this.#number, bytes, isEnded: false, isWhole: false };
  }

  #end(bytes: Buffer): FileLine {
    const line = { number: this.#number, bytes, isEnded: true, isWhole: !this.#isInside };
    this.#number += 1;
    this.#isInside = false;
    return line;
  }
}
