import { expect, test } from 'vitest';
import { readArguments, UsageError } from '../../scripts/bench/arguments.ts';
import { SCENARIOS } from '../../scripts/bench/scenarios.ts';

test('measures everything unless told otherwise', () => {
  expect(readArguments([])).toEqual({
    scenarios: SCENARIOS,
    seconds: 5,
    rounds: 5,
    json: false,
    charts: undefined,
    readme: undefined,
  });
});

test('measures what is named, in that order', () => {
  const wanted = readArguments(['latency', 'unary', '--seconds', '2', '--rounds=3', '--json']);

  expect(wanted?.scenarios.map(({ name }) => name)).toEqual(['latency', 'unary']);
  expect(wanted).toMatchObject({ seconds: 2, rounds: 3, json: true });
});

test('puts outcomes where it is told to', () => {
  const wanted = readArguments(['--charts', 'charts', '--readme=README.md']);

  expect(wanted).toMatchObject({ charts: 'charts', readme: 'README.md' });
});

test('measures nothing when the help is asked for', () => {
  expect(readArguments(['--help'])).toBeUndefined();
});

test.each([
  [['nothing-like-this']],
  [['--unknown']],
  [['--charts']],
  [['--charts', '']],
  [['--readme=']],
  [['--seconds', '0']],
  [['--seconds', '121']],
  [['--rounds', '1.5']],
  [['--rounds', '101']],
])('refuses %j', (args) => {
  expect(() => readArguments(args)).toThrow(UsageError);
});
