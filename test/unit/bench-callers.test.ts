import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { signForSeconds, signWhile } from '../../scripts/bench/callers.ts';

const MAC = Uint8Array.of(1, 2, 3);

const calls = { callers: 3, seconds: 0.02, signal: new AbortController().signal };

test('counts the answers that all callers had, one call of each at a time', async () => {
  let made = 0;
  let open = 0;
  let mostOpen = 0;
  const sign = async () => {
    made += 1;
    open += 1;
    mostOpen = Math.max(mostOpen, open);
    await nextTurn();
    open -= 1;
    return { signature: MAC };
  };

  const { callers, signal } = calls;
  const nexts = Array.from({ length: callers }, () => () => ({ sign, mac: MAC }));
  const { answers, sample } = await signWhile(() => made < 50, nexts, signal);

  expect({ answers, open, mostOpen }).toEqual({ answers: made, open: 0, mostOpen: calls.callers });
  expect(Object.keys(sample)).toEqual(['opsPerSecond', 'p50Ms', 'p99Ms', 'p999Ms']);
});

test.each([
  ['another MAC', Uint8Array.of(1, 2, 4)],
  ['a longer one', Uint8Array.of(1, 2, 3, 4)],
  ['none', undefined],
])('ends with an error when an answer has %s', async (_, signature) => {
  let made = 0;
  const sign = async () => {
    made += 1;
    return { signature: made === 5 ? signature : MAC };
  };

  await expect(signForSeconds({ sign, mac: MAC }, calls)).rejects.toThrow('a MAC is wrong');
});

test('ends with the error of a call', async () => {
  const sign = () => Promise.reject(new Error('refused'));

  await expect(signForSeconds({ sign, mac: MAC }, calls)).rejects.toThrow('refused');
});

test('ends early when it is to end', async () => {
  const end = new AbortController();
  const sign = async () => {
    end.abort(new Error('ended'));
    return { signature: MAC };
  };

  const signing = signForSeconds({ sign, mac: MAC }, { ...calls, seconds: 60, signal: end.signal });

  await expect(signing).rejects.toThrow('ended');
});

describe('callers of different keys', () => {
  /** Lets so many calls be made. */
  function atMost(calls: number): () => boolean {
    let left = calls;
    return () => left-- > 0;
  }

  /** A caller of a key that is signed with in one turn of the event loop. */
  function caller(name: string, calls: string[], signature = MAC) {
    const sign = async () => {
      calls.push(name);
      await nextTurn();
      return { signature };
    };
    return () => ({ sign, mac: MAC });
  }

  test('make as many calls as they are let, each with its own', async () => {
    const calls: string[] = [];
    const callers = [caller('one', calls), caller('other', calls)];

    const { answers } = await signWhile(atMost(10), callers, new AbortController().signal);

    expect(answers).toBe(10);
    expect(calls.toSorted()).toEqual([...Array(5).fill('one'), ...Array(5).fill('other')]);
  });

  test('end with the first wrong MAC of any of them', async () => {
    const calls: string[] = [];
    const callers = [caller('right', calls), caller('wrong', calls, Uint8Array.of(9))];

    const signing = signWhile(atMost(1_000), callers, new AbortController().signal);

    await expect(signing).rejects.toThrow('a MAC is wrong');
    await nextTurn();
    await nextTurn();
    expect(calls.length).toBeLessThan(10);
  });
});
