import { tellFigures } from './figures.ts';

/** Callers who make one call after the other, until {@link Load.end} is called. */
export interface Load {
  readonly answered: () => number;
  /** Every failure of a call, and every wrong answer. */
  end(): Promise<readonly unknown[]>;
}

/** @param call makes one call with data of its own; rejects when the answer is wrong, too */
export function startLoad(callers: number, call: (data: Buffer) => Promise<void>): Load {
  const failures: unknown[] = [];
  let answered = 0;
  let isOver = false;
  const work = Array.from({ length: callers }, async (_, caller) => {
    for (let round = 0; !isOver; round += 1) {
      try {
        await call(Buffer.from(`message ${caller} ${round}`));
        answered += 1;
      } catch (error) {
        failures.push(error);
      }
    }
  });
  const finish = async () => {
    isOver = true;
    await Promise.all(work);
    tellFigures({ answered, failed: failures.length });
    return failures;
  };
  let finished: Promise<readonly unknown[]> | undefined;
  return {
    answered: () => answered,
    end: () => {
      finished ??= finish();
      return finished;
    },
  };
}
