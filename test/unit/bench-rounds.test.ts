import { expect, test } from 'vitest';
import { compareInTurns, type Sample } from '../../scripts/bench/rounds.ts';

const OURS = { name: 'ours' };
const REFERENCE = { name: 'reference' };

const sample = (opsPerSecond: number): Sample => ({ opsPerSecond, p50Ms: 1, p99Ms: 2 });

const context = (rounds: number, signal = new AbortController().signal) => ({
  rounds,
  signal,
  progress: () => undefined,
});

test('measures the subjects in turns', async () => {
  const measured: string[] = [];

  await compareInTurns([OURS, REFERENCE], context(2), async ({ name }) => {
    measured.push(name);
    return sample(1);
  });

  expect(measured).toEqual(['ours', 'reference', 'ours', 'reference']);
});

test('tells the median of each figure, and how far the rounds lie apart', async () => {
  const speeds = [30, 10, 20];

  const { rows } = await compareInTurns([OURS], context(3), async () => sample(speeds.pop() ?? 0));

  expect(rows).toEqual([
    {
      name: 'ours',
      opsPerSecond: 20,
      minOpsPerSecond: 10,
      maxOpsPerSecond: 30,
      p50Ms: 1,
      p99Ms: 2,
    },
  ]);
});

test('compares the first subject with the others', async () => {
  const speeds = new Map([
    ['ours', 80],
    ['reference', 100],
    ['slow', 40],
  ]);
  const subjects = [OURS, REFERENCE, { name: 'slow' }];

  const { ratios } = await compareInTurns(subjects, context(1), async ({ name }) =>
    sample(speeds.get(name) ?? 0),
  );

  expect(ratios).toEqual({ 'ours/reference': 0.8, 'ours/slow': 2 });
});

test('compares with the fastest of several ways to do one thing', async () => {
  const speeds = new Map([
    ['ours', [90, 80, 70]],
    ['1 thread', [100, 100, 100]],
    // In one round, this was faster.
    ['4 threads', [900, 50, 50]],
    ['another', [10, 10, 10]],
  ]);
  const ways = [
    { name: '4 threads', wayOf: 'reference' },
    { name: '1 thread', wayOf: 'reference' },
  ];

  const { rows, ratios } = await compareInTurns(
    [OURS, ...ways, { name: 'another' }],
    context(3),
    async ({ name }) => sample(speeds.get(name)?.shift() ?? 0),
  );

  expect(ratios).toEqual({ 'ours/reference': 0.8, 'ours/another': 8 });
  expect(rows.map(({ name }) => name)).toEqual(['ours', '4 threads', '1 thread', 'another']);
});

test('says nothing of what was not measured', async () => {
  const { rows } = await compareInTurns([OURS], context(1), async () => ({ opsPerSecond: 5 }));

  expect(rows).toEqual([{ name: 'ours', opsPerSecond: 5, minOpsPerSecond: 5, maxOpsPerSecond: 5 }]);
});

test('measures nothing more once it is to end', async () => {
  const end = new AbortController();
  let measured = 0;

  const measuring = compareInTurns([OURS, REFERENCE], context(5, end.signal), async () => {
    measured += 1;
    end.abort(new Error('ended'));
    return sample(1);
  });

  await expect(measuring).rejects.toThrow('ended');
  expect(measured).toBe(1);
});
