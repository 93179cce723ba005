import { describe, expect, test } from 'vitest';
import { Call } from '../../src/token-host/call.ts';
import { FairQueue } from '../../src/token-host/fair-queue.ts';
import { textFrame } from '../support/fake-host.ts';

interface Options {
  readonly macs?: number;
  readonly pinned?: boolean;
}

function callOf(client: string | undefined, { macs = 1, pinned = false }: Options = {}): Call {
  const signal = Object.assign(new AbortController().signal, { client });
  const call = new Call(textFrame('text'), {
    repeatable: true,
    limitMs: 1_000,
    ...{ macs, pinned, signal },
  });
  call.answer.catch(() => undefined);
  return call;
}

function fill(queue: FairQueue, client: string | undefined, count: number, options?: Options) {
  const calls = Array.from({ length: count }, () => callOf(client, options));
  for (const call of calls) queue.push(call);
  return calls;
}

function clientsOf(calls: readonly Call[]): (string | undefined)[] {
  return calls.map(({ client }) => client);
}

function macsByClient(calls: readonly Call[]): Record<string, number> {
  const macs: Record<string, number> = {};
  for (const call of calls)
    macs[String(call.client)] = (macs[String(call.client)] ?? 0) + call.macs;
  return macs;
}

describe('the calls of one client alone', () => {
  test('are taken in order of arrival, about as many as are asked for', () => {
    const queue = new FairQueue();
    const calls = fill(queue, 'shop', 300);

    expect(queue.take(200)).toEqual(calls.slice(0, 200));
    expect(queue).toMatchObject({ length: 100, macs: 100 });
    expect(queue.take(200)).toEqual(calls.slice(200));
    expect(queue).toMatchObject({ length: 0, macs: 0 });
  });

  test('are taken without those whose callers have gone', () => {
    const queue = new FairQueue();
    const calls = fill(queue, 'shop', 4);
    for (const call of [calls[0], calls[2]]) call?.fail(new Error('gone'));

    expect(queue.take(10)).toEqual([calls[1], calls[3]]);
    expect(queue).toMatchObject({ length: 0, macs: 0 });
  });
});

describe('clients that wait together', () => {
  test('have turns, so that one who comes last waits for one turn of each other', () => {
    const queue = new FairQueue();
    fill(queue, 'greedy', 5_000);
    const [call] = fill(queue, 'polite', 1);

    const taken = queue.take(256);

    expect(taken.indexOf(call as Call)).toBe(128);
    expect(taken).toHaveLength(256);
  });

  test('get the same number of MACs, whatever their calls ask for', () => {
    const queue = new FairQueue();
    fill(queue, 'frames', 500, { macs: 128 });
    fill(queue, 'large', 500, { macs: 1_000 });
    fill(queue, 'single', 50_000);

    const taken = Array.from({ length: 240 }, () => queue.take(256)).flat();

    const { frames = 0, large = 0, single = 0 } = macsByClient(taken);
    expect(Math.max(frames, large, single) - Math.min(frames, large, single)).toBeLessThan(1_256);
  });

  test('lose nothing and get nothing twice', () => {
    const queue = new FairQueue();
    const calls = ['a', 'b', undefined].flatMap((client) => fill(queue, client, 700, { macs: 3 }));

    const taken: Call[] = [];
    while (queue.length > 0) taken.push(...queue.take(100));

    expect(new Set(taken)).toEqual(new Set(calls));
    expect(taken).toHaveLength(calls.length);
    expect(queue.macs).toBe(0);
  });

  test('save nothing for later while they have nothing waiting', () => {
    const queue = new FairQueue();
    for (let turn = 0; turn < 100; turn += 1) {
      fill(queue, 'a', 1);
      queue.take(256);
    }
    fill(queue, 'b', 1_000);
    fill(queue, 'a', 1_000);

    expect(macsByClient(queue.take(256))).toEqual({ a: 128, b: 128 });
  });
});

describe('a call of unknown length', () => {
  test('travels alone, and the queue tells of it', () => {
    const queue = new FairQueue();
    const [long] = fill(queue, 'a', 1, { macs: 0 });
    const [short] = fill(queue, 'b', 1);

    expect(queue.startsLong).toBe(true);
    expect(queue.take(256)).toEqual([long]);
    expect(queue.startsLong).toBe(false);
    expect(queue.take(256)).toEqual([short]);
  });

  test('counts as a turn, so that many of them keep nobody waiting', () => {
    const queue = new FairQueue();
    fill(queue, 'long', 100, { macs: 0 });
    fill(queue, 'short', 100);

    const taken = Array.from({ length: 3 }, () => queue.take(256));

    expect(taken.map((batch) => new Set(clientsOf(batch)))).toEqual([
      new Set(['long']),
      new Set(['short']),
      new Set(['long']),
    ]);
  });

  test('that belongs to one lane is taken apart', () => {
    const queue = new FairQueue();
    fill(queue, undefined, 1);
    const pinned = fill(queue, undefined, 1, { macs: 0, pinned: true });

    expect(queue.takePinned()).toEqual(pinned);
    expect(queue.length).toBe(1);
  });
});

test('calls that a lost host gave back come before all others', () => {
  const queue = new FairQueue();
  fill(queue, 'a', 2);
  const returned = [callOf('b'), callOf('a')];

  queue.pushFront(returned);

  expect(queue.take(3).slice(0, 2)).toEqual(returned);
});

describe('a place for one more', () => {
  test('is the last one of the client that has most', () => {
    const queue = new FairQueue();
    fill(queue, 'some', 3);
    const most = fill(queue, 'most', 5);

    expect(queue.displaceFor('new')).toBe(most.at(-1));
    expect(queue).toMatchObject({ length: 7, macs: 7 });
  });

  test('is not given to the client that has most, nor to one that has as many', () => {
    const queue = new FairQueue();
    fill(queue, 'one', 3);
    fill(queue, 'other', 3);

    expect(queue.displaceFor('one')).toBeUndefined();
    expect(queue.displaceFor('other')).toBeUndefined();
    expect(queue.displaceFor('new')).toBeDefined();
  });

  test('is not there in an empty queue', () => {
    expect(new FairQueue().displaceFor('new')).toBeUndefined();
  });
});

test('callers who have gone leave no place taken', () => {
  const queue = new FairQueue();
  const calls = ['a', 'b'].flatMap((client) => fill(queue, client, 3));
  for (const call of calls.slice(1)) call.fail(new Error('gone'));

  queue.prune();

  expect(queue).toMatchObject({ length: 1, macs: 1 });
  expect(queue.takeAll()).toEqual(calls.slice(0, 1));
  expect(queue).toMatchObject({ length: 0, macs: 0 });
});
