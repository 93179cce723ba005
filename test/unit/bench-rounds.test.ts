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
