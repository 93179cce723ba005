export interface StopStep {
  readonly name: string;
  /** How long the steps after this one wait for it. */
  readonly limitMs: number;
  readonly run: () => void | Promise<void>;
}

/**
 * A stop that runs its steps one after the other. A step that fails or overruns is reported, and
 * the next one runs all the same: a part that does not let go must not keep the others from it.
 *
 * @param steps read when the stop begins
 * @param onTrouble hears of each step that failed or overran
 * @returns begins the stop the first time, and each time gives the one promise of its end, which
 *   never rejects
 */
export function orderlyStop(
  steps: readonly StopStep[],
  onTrouble: (step: string, error: unknown) => void,
): () => Promise<void> {
  let stopped: Promise<void> | undefined;
  return () => {
    stopped ??= runAll([...steps], onTrouble);
    return stopped;
  };
}

async function runAll(
  steps: readonly StopStep[],
  onTrouble: (step: string, error: unknown) => void,
): Promise<void> {
  for (const step of steps) {
    try {
      await runWithin(step);
    } catch (error) {
      onTrouble(step.name, error);
    }
  }
}

function runWithin({ name, limitMs, run }: StopStep): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${name} took longer than ${limitMs} ms`)),
      limitMs,
    );
    Promise.resolve()
      .then(run)
      .then(resolve, reject)
      .finally(() => clearTimeout(timer));
  });
}
