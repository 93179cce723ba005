import type { SigildError } from '../domain/errors.ts';
import type { ChainEnd } from './chain.ts';

/** Lines that are written together. */
export interface LineGroup {
  readonly bodies: string[];
  /** Whether it has to be found in its place afterwards. */
  isCareful: boolean;
  readonly written: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: SigildError) => void;
}

/** A line that says something about all lines before it, and so is made when they are there. */
export interface LateLine {
  /** @param start of the line, up to its kind @returns the whole line without its LF */
  readonly make: (start: string, end: ChainEnd) => Promise<string>;
  readonly resolve: (end: ChainEnd) => void;
  readonly reject: (error: unknown) => void;
}

export function newGroup(): LineGroup {
  const { promise, resolve, reject } = withResolvers();
  // Who waits for it hears of it; it may be that nobody does.
  promise.catch(() => undefined);
  return { bodies: [], isCareful: false, written: promise, resolve, reject };
}

function withResolvers() {
  let resolve!: () => void;
  let reject!: (error: SigildError) => void;
  const promise = new Promise<void>((done, fail) => {
    resolve = done;
    reject = fail;
  });
  return { promise, resolve, reject };
}
