import { expect, test } from 'vitest';
import type { Key } from '../../src/domain/key.ts';
import type { Stamp } from '../../src/domain/key-record.ts';
import { LeftoverRecords } from '../../src/service/leftover-records.ts';
import { keyOf, keyVersion } from '../support/key-version.ts';

const MINUTE_MS = 60_000;

const [ONE, OTHER] = ['1', '2'].map((digit) => ({ revision: 1, nonce: digit.repeat(16) })) as [
  Stamp,
  Stamp,
];

/** Looks at what a test says stands on the token, at the times that it says. */
function startLooking() {
  const state = { keys: [] as Key[], nowMs: 0 };
  const removed: [key: string, stamps: readonly Stamp[]][] = [];
  const records = new LeftoverRecords({
    catalog: { withLeftovers: () => state.keys },
    token: {
      removeRecords: async (key, stamps) => {
        removed.push([key, stamps]);
      },
    },
    onRemoved: () => undefined,
    now: () => state.nowMs,
  });
  const look = async (atMinute: number, ...keys: readonly Key[]) => {
    state.nowMs = atMinute * MINUTE_MS;
    state.keys = [...keys];
    await records.look();
  };
  return { look, removed };
}

function keyWith(name: string, ...leftovers: readonly Stamp[]): Key {
  return { ...keyOf(keyVersion({ key: name })), leftovers };
}

test('what is left over stays as long as a change may be under way, and is removed then', async () => {
  const { look, removed } = startLooking();

  await look(0, keyWith('webhooks', ONE));
  await look(14, keyWith('webhooks', ONE));
  const before = [...removed];
  await look(15, keyWith('webhooks', ONE));

  expect(before).toEqual([]);
  expect(removed).toEqual([['webhooks', [ONE]]]);
});

test('a new leftover makes all of its key stay for longer', async () => {
  const { look, removed } = startLooking();

  await look(0, keyWith('webhooks', ONE));
  await look(10, keyWith('webhooks', ONE, OTHER));
  await look(20, keyWith('webhooks', ONE, OTHER));
  await look(25, keyWith('webhooks', OTHER));

  expect(removed).toEqual([['webhooks', [OTHER]]]);
});

test('one that was gone in between counts from its return', async () => {
  const { look, removed } = startLooking();

  await look(0, keyWith('webhooks', ONE));
  await look(10);
  await look(20, keyWith('webhooks', ONE));

  expect(removed).toEqual([]);
});

test('a look removes those of some keys only, and the next looks the rest', async () => {
  const { look, removed } = startLooking();
  const keys = Array.from({ length: 20 }, (_, index) => keyWith(`key-${index}`, ONE));

  await look(0, ...keys);
  await look(15, ...keys);
  const first = removed.length;
  await look(16, ...keys.slice(first));

  expect(first).toBeLessThan(20);
  expect(new Set(removed.map(([name]) => name)).size).toBe(20);
});
