import type { RequestContext } from './caller.ts';
import { untilAborted, withLimit } from './deadline.ts';
import type { Turns } from './turns.ts';

/** Much longer than a change takes: the token has limits of its own for each step of one. */
const CHANGE_LIMIT_MS = 120_000;

/**
 * Changes a key when all that was begun with it before has ended. A change that has begun is finished,
 * also when its caller has gone.
 *
 * @throws {SigildError} what the change throws; DEADLINE_EXCEEDED; `signal.reason` when it aborts
 */
export function changeInTurn<Result>(
  turns: Turns,
  { client, signal }: RequestContext,
  name: string,
  change: (context: RequestContext) => Promise<Result>,
): Promise<Result> {
  const begin = () => {
    signal.throwIfAborted();
    return withLimit(CHANGE_LIMIT_MS, `changing key ${name}`, (limit) =>
      change({ client, signal: limit }),
    );
  };
  return untilAborted(turns.take(name, begin), signal);
}
