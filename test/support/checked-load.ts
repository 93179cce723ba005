import { createHmac } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type ErrorDetails, failureOf, type TestClient } from './client.ts';
import { tellFigures } from './figures.ts';

/** HMAC-SHA256 keys by their names. */
export type KnownKeys = ReadonlyMap<string, Buffer>;

/** Callers who sign with keys that the test knows, and compare every answer. */
export interface CheckedLoad {
  /** How many answers were right. */
  readonly right: () => number;
  /** Every call that failed. */
  readonly failures: readonly ErrorDetails[];
  /** The key of every MAC that was not its own. */
  readonly wrong: readonly string[];
  end(): Promise<void>;
}

/** A caller whose call has failed waits so long, as others need the processor to recover. */
const PAUSE_MS = 20;

/** The callers use the keys in turn, each in another order. */
export function startCheckedLoad(
  client: Pick<TestClient, 'sign'>,
  keys: KnownKeys,
  callers: number,
): CheckedLoad {
  const names = [...keys.keys()];
  const failures: ErrorDetails[] = [];
  const wrong: string[] = [];
  let right = 0;
  let isOver = false;
  const sign = async (name: string, data: Buffer) => {
    const { signature } = await client.sign({ key: name, data });
    const mac = createHmac('sha256', keys.get(name) ?? '')
      .update(data)
      .digest();
    if (signature && mac.equals(signature)) right += 1;
    else wrong.push(name);
  };
  const work = Array.from({ length: callers }, async (_, caller) => {
    const step = 1 + (caller % Math.max(1, names.length - 1));
    for (let round = caller; !isOver; round += step) {
      const name = names[round % names.length] ?? '';
      const signed = sign(name, Buffer.from(`message ${caller} ${round}`));
      const failed = await signed.then(
        () => false,
        () => true,
      );
      if (!failed) continue;
      failures.push(await failureOf(signed));
      await pause(PAUSE_MS);
    }
  });
  return {
    right: () => right,
    failures,
    wrong,
    end: async () => {
      isOver = true;
      await Promise.all(work);
      tellFigures({ right, wrong: wrong.length, failed: failures.length });
    },
  };
}
