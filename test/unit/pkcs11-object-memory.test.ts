import { describe, expect, test } from 'vitest';
import {
  ObjectMemory,
  type ObjectSource,
  UPDATES_PER_TURN,
} from '../../src/pkcs11/object-memory.ts';

interface Thing {
  readonly name: string;
  readonly state?: string;
}

/** A memory of objects by number, which a test changes; undefined is an object that is no thing. */
function startMemory(objects: Record<number, Thing | undefined> = {}) {
  const memory = new ObjectMemory<Thing>({
    nameOf: ({ name }) => name,
    isUnsettled: ({ state }) => state === 'unsettled',
  });
  const stored = new Map(Object.entries(objects).map(([number, thing]) => [Number(number), thing]));
  let reads: number[] = [];
  const handlesOf = (matches: (thing: Thing | undefined) => boolean) =>
    [...stored].filter(([, thing]) => matches(thing)).map(([number]) => Buffer.from([number]));
  const source: ObjectSource<Thing> = {
    all: () => handlesOf(() => true),
    named: (name) => handlesOf((thing) => thing?.name === name),
    read: (handle) => {
      reads.push(handle[0] as number);
      return stored.get(handle[0] as number);
    },
  };
  /** @returns what was read, in steps of one each, and the names that it tells */
  const update = (readAgain: readonly string[] = []) => {
    reads = [];
    const steps = memory.update(source, readAgain);
    for (let step = 0; ; step++) {
      const { done, value } = steps.next();
      if (done) return { reads, told: [...value].sort() };
      expect(reads).toHaveLength(step + 1);
    }
  };
  return { memory, stored, update };
}

/** Things with names of their own. */
function settled(count: number): Record<number, Thing> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, number) => [number, { name: `thing-${number}` }]),
  );
}

test('reads everything at first, and tells all names', () => {
  const { memory, update } = startMemory({ 1: { name: 'a' }, 2: { name: 'b' }, 3: undefined });

  expect(update()).toEqual({ reads: [1, 2, 3], told: ['a', 'b'] });
  expect(memory.named('a')).toEqual([{ name: 'a' }]);
  expect(memory.named('c')).toEqual([]);
});

test('reads each object again once a turn, in each update a part of them', () => {
  const count = 4 * UPDATES_PER_TURN;
  const { update } = startMemory(settled(count));
  update();

  const updates = Array.from({ length: UPDATES_PER_TURN }, () => update());

  expect(updates.map(({ reads }) => reads.length)).toEqual(updates.map(() => 4));
  expect(new Set(updates.flatMap(({ reads }) => reads)).size).toBe(count);
  expect(updates.flatMap(({ told }) => told)).toEqual([]);
});

test('reads what is unsettled each time, and tells when it has changed', () => {
  const { stored, update } = startMemory({ ...settled(2), 7: { name: 'u', state: 'unsettled' } });
  update();
  const unchanged = update();
  stored.set(7, { name: 'u', state: 'other' });
  const changed = update();

  expect(unchanged.reads).toContain(7);
  expect(unchanged.told).toEqual([]);
  expect(changed.told).toEqual(['u']);
});

test('reads what is new, and tells what has gone without reading it', () => {
  const { memory, stored, update } = startMemory(settled(3));
  update();
  stored.delete(0);
  stored.set(9, { name: 'new' });

  const { reads, told } = update();

  expect(reads).toContain(9);
  expect(reads).not.toContain(0);
  expect(told).toEqual(['new', 'thing-0']);
  expect(memory.named('thing-0')).toEqual([]);
});

test('is empty without things, whatever objects there are', () => {
  const { memory, stored, update } = startMemory({ 1: { name: 'a' }, 2: undefined });
  update();
  expect(memory.isEmpty).toBe(false);

  stored.delete(1);
  update();

  expect(memory.isEmpty).toBe(true);
});

test('reads all of a name when one of it has changed', () => {
  const { memory, stored, update } = startMemory({
    1: { name: 'a', state: 'unsettled' },
    2: { name: 'a', state: 'first' },
    3: { name: 'a', state: 'first' },
  });
  update();
  for (const number of [1, 2, 3]) stored.set(number, { name: 'a', state: 'second' });

  const { reads, told } = update();

  expect([...reads].sort()).toEqual([1, 2, 3]);
  expect(told).toEqual(['a']);
  expect(memory.named('a')).toEqual([1, 2, 3].map(() => ({ name: 'a', state: 'second' })));
});

describe('a thing that has got another name', () => {
  test('is told under both within a turn', () => {
    const { memory, stored, update } = startMemory(settled(3));
    update();
    stored.set(1, { name: 'renamed' });

    const told = Array.from({ length: UPDATES_PER_TURN }, () => update().told);

    expect(told.flat()).toEqual(['renamed', 'thing-1']);
    expect(memory.named('renamed')).toHaveLength(1);
    expect(memory.named('thing-1')).toEqual([]);
  });

  test('is told at once when it is asked for under either', () => {
    for (const name of ['renamed', 'thing-1']) {
      const { stored, update } = startMemory(settled(3));
      update();
      stored.set(1, { name: 'renamed' });

      expect(update([name]).told).toEqual(['renamed', 'thing-1']);
    }
  });

  test('has those read that had its new name before', () => {
    const { stored, update } = startMemory({ 1: { name: 'a' }, 2: { name: 'b', state: 'first' } });
    update();
    stored.set(1, { name: 'b' });
    stored.set(2, { name: 'b', state: 'second' });

    const { reads } = update(['a']);

    expect([...reads].sort()).toEqual([1, 2]);
  });
});

test('reads and tells what is asked for, though it is as before, and once alone', () => {
  const { update } = startMemory({ 1: { name: 'a' }, 2: { name: 'a' }, 3: { name: 'b' } });
  update();
  while (update().reads.length > 0);

  expect(update(['a'])).toEqual({ reads: [1, 2], told: ['a'] });
});

test('tells a name that is asked for when nothing has it', () => {
  const { update } = startMemory(settled(1));
  update();

  expect(update(['nothing']).told).toEqual(['nothing']);
});
