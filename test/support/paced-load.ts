import { createHmac, randomBytes } from 'node:crypto';
import type { Client } from '../../src/client/client.ts';
import type { KnownKeys } from './checked-load.ts';
import { tellFigures } from './figures.ts';

/** Calls at a rate, whether or not those before are answered, up to a limit of open ones. */
export interface PacedLoad {
  readonly right: () => number;
  /** How many MACs were not their key's. */
  readonly wrong: () => number;
  /** How many calls failed, by the reason. */
  readonly failures: ReadonlyMap<string, number>;
  end(): Promise<void>;
}

interface Pace {
  readonly callsPerSecond: number;
  /** With as many unanswered, no further one is made. */
  readonly maxOpen: number;
}

const TICK_MS = 10;

const MOST_DATA_BYTES = 512;

export function startPacedLoad(
  client: Client,
  keys: KnownKeys,
  { callsPerSecond, maxOpen }: Pace,
): PacedLoad {
  const names = [...keys.keys()];
  const failures = new Map<string, number>();
  const open = new Set<Promise<void>>();
  let right = 0;
  let wrong = 0;
  const sign = async (): Promise<void> => {
    const name = names[Math.floor(Math.random() * names.length)] ?? '';
    const data = randomBytes(Math.floor(Math.random() * MOST_DATA_BYTES));
    try {
      const { signature } = await client.key(name).sign(data);
      const mac = createHmac('sha256', keys.get(name) ?? '')
        .update(data)
        .digest();
      if (mac.equals(signature)) right += 1;
      else wrong += 1;
    } catch (error) {
      const { reason = String(error) } = error as { reason?: string };
      failures.set(reason, (failures.get(reason) ?? 0) + 1);
    }
  };
  let lastMs = performance.now();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    const due = ((nowMs - lastMs) * callsPerSecond) / 1_000;
    lastMs = nowMs;
    for (let calls = 0; calls < due && open.size < maxOpen; calls += 1) {
      const call = sign().finally(() => open.delete(call));
      open.add(call);
    }
  }, TICK_MS);
  return {
    right: () => right,
    wrong: () => wrong,
    failures,
    end: async () => {
      clearInterval(timer);
      await Promise.all(open);
      const failed = [...failures.values()].reduce((sum, count) => sum + count, 0);
      tellFigures({ right, wrong, failed });
    },
  };
}
