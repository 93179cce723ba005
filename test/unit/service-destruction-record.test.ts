import { describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import type { KeyVersion } from '../../src/domain/key.ts';
import {
  isSameStamp,
  type RecordedState,
  type StampedRecord,
} from '../../src/domain/key-record.ts';
import { recordedVersions } from '../../src/domain/recorded-versions.ts';
import { changeRecord, type RecordStore } from '../../src/service/change-record.ts';
import { destroying, restoring, scheduling } from '../../src/service/destruction-record.ts';
import type { RecordChange } from '../../src/service/token-values.ts';
import { keyVersion, versionRecord } from '../support/key-version.ts';

const VERSION = keyVersion({ state: 'SUSPENDED' });
const DUE_MS = versionRecord().destroyTimeMs;
const SUBJECT = { kind: 'version', key: VERSION.key, id: VERSION.id } as const;

/** The end of a daemon. */
class Crash extends Error {}

/** The records on a token, which daemons use that end at a step, or go on. */
class SharedToken {
  copies: StampedRecord[] = [];

  /** @param steps after how many uses the daemon ends */
  store(steps = Number.POSITIVE_INFINITY, onStep: () => Promise<void> = async () => undefined) {
    let left = steps;
    const step = async () => {
      await onStep();
      if (left <= 0) throw new Crash();
      left -= 1;
    };
    const store: RecordStore = {
      find: async () => {
        await step();
        return [...this.copies];
      },
      create: async (copy) => {
        await step();
        this.copies.push(copy);
      },
      remove: async (stamps) => {
        await step();
        const isMeant = ({ stamp }: StampedRecord) =>
          stamps.some((other) => isSameStamp(other, stamp));
        this.copies = this.copies.filter((copy) => !isMeant(copy));
      },
    };
    return store;
  }

  state(object: KeyVersion | undefined = VERSION): string | undefined {
    return recordedVersions(object ? [object] : [], this.copies)[0]?.state;
  }
}

function write(token: SharedToken, state: RecordedState): void {
  const stamp = { revision: 1, nonce: '7'.repeat(16) };
  token.copies = [{ record: versionRecord({ state }), stamp }];
}

async function succeeds(store: RecordStore, change: RecordChange): Promise<boolean> {
  try {
    await changeRecord(store, SUBJECT, change);
    return true;
  } catch (error) {
    if (error instanceof Crash || error instanceof SigildError) return false;
    throw error;
  }
}

const CHANGES = [
  ['scheduling', undefined, scheduling(VERSION, DUE_MS), ['SUSPENDED', 'DESTROY_SCHEDULED']],
  ['restoring', 'DESTROY_SCHEDULED', restoring(VERSION), ['DESTROY_SCHEDULED', 'SUSPENDED']],
  [
    'destroying',
    'DESTROY_SCHEDULED',
    destroying(VERSION, DUE_MS),
    ['DESTROY_SCHEDULED', 'DESTROYED'],
  ],
] as const;

describe.each(CHANGES)('a daemon that ends while it is %s', (_, before, change, [from, to]) => {
  test.each([0, 1, 2, 3, 4])('after step %i leaves it done or not begun', async (steps) => {
    const token = new SharedToken();
    if (before) write(token, before);

    const isDone = await succeeds(token.store(steps), change);

    expect(token.state()).toBe(isDone || steps > 1 ? to : from);
    expect(await succeeds(token.store(), change)).toBe(true);
    expect(token.state()).toBe(to);
  });
});

/** Lets two daemons take their steps in an order that is given by digits. */
function inOrder(order: string) {
  const gates: { daemon: string; go: () => void }[] = [];
  const turns = [...order];
  const next = () => {
    const wanted = turns.shift();
    const at = gates.findIndex(({ daemon }) => daemon === wanted);
    gates.splice(Math.max(0, at), 1)[0]?.go();
  };
  return (daemon: string) => () =>
    new Promise<void>((go) => {
      gates.push({ daemon, go });
      setImmediate(next);
    });
}

const ORDERS = Array.from({ length: 2 ** 5 }, (_, bits) => bits.toString(2).padStart(5, '0'));

describe('of two daemons that restore and destroy a version at the same moment', () => {
  test.each(ORDERS)('only one is told that it has done so: %s', async (order) => {
    const token = new SharedToken();
    write(token, 'DESTROY_SCHEDULED');
    const steps = inOrder(order);
    let isRestored = false;

    await Promise.all([
      succeeds(token.store(undefined, steps('0')), restoring(VERSION)).then((isDone) => {
        isRestored = isDone;
      }),
      succeeds(token.store(undefined, steps('1')), destroying(VERSION, DUE_MS)),
    ]);

    expect(token.state()).toBe(isRestored ? 'SUSPENDED' : 'DESTROYED');
    expect(token.copies).toHaveLength(1);
  });

  test.each(ORDERS)(
    'a restoration that is acknowledged stays, though the other ends: %s',
    async (order) => {
      for (let crash = 0; crash <= 4; crash++) {
        const token = new SharedToken();
        write(token, 'DESTROY_SCHEDULED');
        const steps = inOrder(order);

        const [isRestored] = await Promise.all([
          succeeds(token.store(undefined, steps('0')), restoring(VERSION)),
          succeeds(token.store(crash, steps('1')), destroying(VERSION, DUE_MS)),
        ]);

        if (isRestored) expect(token.state()).toBe('SUSPENDED');
        else expect(token.state()).not.toBe('SUSPENDED');
      }
    },
  );
});
