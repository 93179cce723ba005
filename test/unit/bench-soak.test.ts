import { expect, test } from 'vitest';
import { measureSoak } from '../../scripts/bench/soak.ts';

const CONTEXT = { progress: () => undefined };

const MIB_AFTER_EACH_PART = { front: [100, 110, 120, 115, 105], 'host 1': [50, 50, 55, 80, 60] };

/** Something that is soaked, whose speed falls with each part. */
function soaked(mibAfter: Readonly<Record<string, readonly number[]>> = MIB_AFTER_EACH_PART) {
  const made: number[] = [];
  return {
    made,
    sign: async (calls: number) => {
      made.push(calls);
      return { opsPerSecond: 1_000 - made.length, p50Ms: 1, p99Ms: 2 };
    },
    memory: () =>
      Object.entries(mibAfter).map(([name, mib]) => ({
        name,
        residentMiB: mib[made.length - 1] ?? 0,
        proportionalMiB: 1,
      })),
  };
}

test('makes all calls, in five parts', async () => {
  const subject = soaked();

  await measureSoak(subject, 500, CONTEXT);

  expect(subject.made).toEqual([100, 100, 100, 100, 100]);
});

test('tells the speed of the first, the middle and the last part, and the memory after each', async () => {
  const { rows } = await measureSoak(soaked(), 500, CONTEXT);

  expect(
    rows.map(({ name, opsPerSecond, residentMiB }) => [name, opsPerSecond, residentMiB]),
  ).toEqual([
    ['front, first million', 999, 100],
    ['host 1, first million', 999, 50],
    ['front, middle million', 997, 120],
    ['host 1, middle million', 997, 55],
    ['front, last million', 995, 105],
    ['host 1, last million', 995, 60],
  ]);
});

test('tells what times of its first memory each process has in the end, and the worst of it', async () => {
  const { ratios } = await measureSoak(soaked(), 500, CONTEXT);

  expect(ratios).toEqual({
    'soak-memory': 1.2,
    'soak-memory-front': 1.05,
    'soak-memory-host-1': 1.2,
  });
});

test('the worst is the largest also where all have shrunk', async () => {
  const { ratios } = await measureSoak(soaked({ front: [100, 90, 90, 90, 90] }), 500, CONTEXT);

  expect(ratios['soak-memory']).toBe(0.9);
});
