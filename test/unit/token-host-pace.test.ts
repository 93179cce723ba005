import { describe, expect, test } from 'vitest';
import { Pace } from '../../src/token-host/pace.ts';

const PROCESSORS = 2;

function paceOf(macMs: number): Pace {
  const pace = new Pace(PROCESSORS);
  pace.learn(macMs, 1);
  return pace;
}

describe('a token of which nothing is known', () => {
  test('gets every lane', () => {
    expect(new Pace(PROCESSORS).lanesFor(1)).toBe(Number.POSITIVE_INFINITY);
  });

  test('is not known better for work that made no MAC', () => {
    const pace = new Pace(PROCESSORS);

    pace.learn(1_000, 0);

    expect(pace.lanesFor(1)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('a fast token', () => {
  test.each([
    { macs: 0, lanes: 1 },
    { macs: 64, lanes: 1 },
    { macs: 256, lanes: 2 },
    { macs: 100_000, lanes: PROCESSORS },
  ])('gets $lanes lanes for $macs MACs', ({ macs, lanes }) => {
    expect(paceOf(0.01).lanesFor(macs)).toBe(lanes);
  });

  test('gets 256 MACs ahead', () => {
    expect(paceOf(0.01).macsPerLane).toBe(256);
  });
});

describe('a slow token', () => {
  test.each([1, 10, 1_000])('gets a lane for each of %i MACs', (macs) => {
    expect(paceOf(1).lanesFor(macs)).toBe(macs);
  });

  test.each([
    { macMs: 2, macs: 12 },
    { macMs: 200, macs: 1 },
  ])('that takes $macMs ms gets $macs MACs ahead', ({ macMs, macs }) => {
    expect(paceOf(macMs).macsPerLane).toBe(macs);
  });
});

describe('what is known', () => {
  test('is what one MAC takes, however many came together', () => {
    const pace = new Pace(PROCESSORS);

    pace.learn(64, 64);

    expect(pace.lanesFor(10)).toBe(10);
  });

  test('follows a token that becomes faster at once', () => {
    const pace = paceOf(2);

    pace.learn(0.01, 1);

    expect(pace.lanesFor(64)).toBe(1);
  });

  test('follows one that becomes slower only when it stays so', () => {
    const pace = paceOf(0.01);

    pace.learn(2, 1);
    const afterOne = pace.lanesFor(16);
    for (let call = 0; call < 200; call += 1) pace.learn(2, 1);

    expect(afterOne).toBe(1);
    expect(pace.lanesFor(16)).toBeGreaterThan(16);
  });
});
