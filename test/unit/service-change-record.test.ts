import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { SigildError } from '../../src/domain/errors.ts';
import {
  countingRecord,
  isSameStamp,
  type KeyRecord,
  type SettingsRecord,
  type StampedRecord,
} from '../../src/domain/key-record.ts';
import { changeRecord, type RecordStore } from '../../src/service/change-record.ts';

const SUBJECT = { kind: 'settings', key: 'webhooks', id: 'a'.repeat(32) } as const;

const RIVALS = 4;

function record(rotationPeriodMs: number | undefined): SettingsRecord {
  return { ...SUBJECT, version: 1, settings: { rotationPeriodMs, destroyable: true } };
}

function copyOf(rotationPeriodMs: number, revision: number, nonce: string): StampedRecord {
  return { record: record(rotationPeriodMs), stamp: { revision, nonce: nonce.repeat(16) } };
}

function periodOf(kept: KeyRecord | undefined): number {
  return kept?.kind === 'settings' ? (kept.settings.rotationPeriodMs ?? 0) : 0;
}

/** A token that several daemons share, whose answers take some time. */
class SharedToken {
  copies: StampedRecord[] = [];
  /** Runs before each look of {@link store}. */
  beforeFind: (look: number) => void = () => undefined;
  #looks = 0;

  store(takes: () => Promise<unknown> = async () => undefined): RecordStore {
    return {
      find: async () => {
        await takes();
        this.#looks += 1;
        this.beforeFind(this.#looks);
        const found = [...this.copies];
        await takes();
        return found;
      },
      create: async (copy) => {
        await takes();
        this.copies.push(copy);
        await takes();
      },
      remove: async (stamps) => {
        await takes();
        this.copies = this.copies.filter(
          ({ stamp }) => !stamps.some((meant) => isSameStamp(meant, stamp)),
        );
      },
    };
  }

  get periods(): number[] {
    return this.copies.map((copy) => periodOf(copy.record));
  }
}

const add = (current: KeyRecord | undefined) => record(periodOf(current) + 1);

describe('a change of a record', () => {
  test('writes the first copy', async () => {
    const token = new SharedToken();

    await changeRecord(token.store(), SUBJECT, add);

    expect(token.copies).toEqual([
      { record: record(1), stamp: { revision: 1, nonce: expect.stringMatching(/^[0-9a-f]{16}$/) } },
    ]);
  });

  test('leaves one copy, of the next revision', async () => {
    const token = new SharedToken();
    token.copies = [copyOf(1, 6, 'a'), copyOf(2, 7, 'b')];

    await changeRecord(token.store(), SUBJECT, add);

    expect(token.copies).toMatchObject([{ record: record(3), stamp: { revision: 8 } }]);
  });

  test('writes nothing where nothing is to be changed', async () => {
    const token = new SharedToken();
    token.copies = [copyOf(1, 1, 'a')];

    await changeRecord(token.store(), SUBJECT, () => undefined);

    expect(token.copies).toEqual([copyOf(1, 1, 'a')]);
  });

  test('leaves records of other kinds and versions alone', async () => {
    const token = new SharedToken();
    const other = { ...copyOf(9, 9, 'c'), record: { ...record(9), id: 'b'.repeat(32) } };
    token.copies = [other];

    await changeRecord(token.store(), SUBJECT, add);

    expect(token.copies).toHaveLength(2);
    expect(token.copies).toContain(other);
  });

  test('leaves everything as it was when it is refused', async () => {
    const token = new SharedToken();
    token.copies = [copyOf(1, 1, 'a')];
    const refusal = new SigildError('KEY_STATE_FORBIDS', 'no');

    const changed = changeRecord(token.store(), SUBJECT, () => {
      throw refusal;
    });

    await expect(changed).rejects.toBe(refusal);
    expect(token.copies).toEqual([copyOf(1, 1, 'a')]);
  });

  test('is made on top of a rival that precedes it', async () => {
    const token = new SharedToken();
    token.beforeFind = (look) => {
      if (look === 2) token.copies.push(copyOf(10, 1, '0'));
    };

    await changeRecord(token.store(), SUBJECT, add);

    expect(token.periods).toEqual([11]);
  });

  test('is made on top of a rival that it precedes but that stays', async () => {
    const token = new SharedToken();
    token.beforeFind = (look) => {
      if (look === 2) token.copies.push(copyOf(10, 1, 'g'));
    };

    await changeRecord(token.store(), SUBJECT, add);

    expect(token.periods).toEqual([11]);
  });

  test('waits for a rival that it precedes to give way', async () => {
    const token = new SharedToken();
    const rival = copyOf(10, 1, 'g');
    token.beforeFind = (look) => {
      if (look === 2) token.copies.push(rival);
      if (look === 4) token.copies = token.copies.filter((copy) => copy !== rival);
    };

    await changeRecord(token.store(), SUBJECT, add);

    expect(token.periods).toEqual([1]);
  });

  test('is made anew when what it was made on top of is taken back', async () => {
    const token = new SharedToken();
    const [kept, unsettled] = [copyOf(1, 1, 'a'), copyOf(10, 2, 'b')];
    token.copies = [kept, unsettled];
    token.beforeFind = (look) => {
      if (look === 2) token.copies = token.copies.filter((copy) => copy !== unsettled);
    };

    await changeRecord(token.store(), SUBJECT, add);

    expect(token.periods).toEqual([2]);
  });

  test('gives up when others always come first', async () => {
    const token = new SharedToken();
    token.beforeFind = (look) => {
      if (look % 2 === 0) token.copies.push(copyOf(10, 100 + look, '0'));
    };

    const changed = changeRecord(token.store(), SUBJECT, add);

    await expect(changed).rejects.toMatchObject({ reason: 'TOKEN_UNAVAILABLE' });
    expect(new Set(token.periods)).toEqual(new Set([10]));
  });
});

describe('changes of one record by several daemons', () => {
  test.each(Array.from({ length: 6 }, (_, round) => round))(
    'are all made, whichever way they overlap (%i)',
    async () => {
      const token = new SharedToken();
      const daemons = Array.from({ length: RIVALS }, () =>
        token.store(() => sleep(Math.random() * 8)),
      );

      await Promise.all(
        daemons.map((store, daemon) =>
          changeRecord(store, SUBJECT, (current) => record(periodOf(current) | (1 << daemon))),
        ),
      );

      expect(periodOf(countingRecord(token.copies)?.record)).toBe(2 ** RIVALS - 1);
      expect(token.copies).toHaveLength(1);
    },
  );
});
