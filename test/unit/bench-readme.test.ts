import { describe, expect, test } from 'vitest';
import { partsIn, readmePart, withParts } from '../../scripts/bench/readme-section.ts';
import { SCENARIOS } from '../../scripts/bench/scenarios.ts';
import { MACHINE } from '../support/bench-machine.ts';
import { README } from '../support/readme.ts';

const BEGIN = '<!-- benchmarks: what follows is made by npm run bench -->';
const END = '<!-- end of the benchmarks -->';
const EMPTY = `# Title\n\n${BEGIN}\n\n${END}\n\nThe rest.\n`;
const ORDER = ['unary', 'latency', 'soak'];

const OUTCOME = {
  rows: [
    { name: 'unary', opsPerSecond: 9_000, p50Ms: 1.25 },
    { name: 'empty-server', opsPerSecond: 12_000 },
  ],
  ratios: { 'unary/empty-server': 0.75 },
};

test('a part has a table, the ratios, the machine, the date and how it was made', () => {
  const scenario = { name: 'unary', summary: 'many callers' };

  const part = readmePart(scenario, MACHINE, OUTCOME, { seconds: 5, rounds: 3 });

  expect(part.split('\n')).toEqual([
    '### unary: many callers',
    '',
    '|  | ops/s | p50 ms |',
    '| --- | ---: | ---: |',
    '| unary | 9,000 | 1.250 |',
    '| empty-server | 12,000 |  |',
    '',
    '- `unary/empty-server` = 0.750',
    '',
    '2026-01-01, 2-core processor, load average before 0.5; ' +
      'Linux 6.1, Node.js 20.0.0, SoftHSM 2.6.1, h2load 1.52.0; made with `--seconds 5 --rounds 3`.',
  ]);
});

describe('the place in the README', () => {
  const fill = (readme: string, made: Readonly<Record<string, string>>) =>
    withParts(readme, new Map(Object.entries(made)), ORDER);

  test('takes parts in the order of the scenarios, whichever was measured first', () => {
    const filled = fill(EMPTY, { latency: '### latency', unary: '### unary' });

    expect(filled).toBe(
      [
        ...['# Title', '', BEGIN, ''],
        ...['<!-- benchmark unary -->', '### unary', ''],
        ...['<!-- benchmark latency -->', '### latency', ''],
        ...[END, '', 'The rest.', ''],
      ].join('\n'),
    );
  });

  test('keeps the parts of scenarios that were not measured', () => {
    const filled = fill(EMPTY, { unary: 'first', soak: 'kept' });

    expect(fill(filled, { unary: 'second' })).toBe(fill(EMPTY, { unary: 'second', soak: 'kept' }));
  });

  test('loses the part of a scenario that there is no more', () => {
    const filled = withParts(EMPTY, new Map([['old', 'gone']]), ['old']);

    expect(fill(filled, {})).toBe(EMPTY);
  });

  test('is the same when the same is put there again', () => {
    const made = { unary: readmePart({ name: 'unary', summary: 's' }, MACHINE, OUTCOME, RUN) };
    const filled = fill(EMPTY, made);

    expect(fill(filled, made)).toBe(filled);
    expect(fill(filled, {})).toBe(filled);
  });

  test.each([
    ['no place', '# Title\n'],
    ['two places', EMPTY + EMPTY],
    ['no end', `${BEGIN}\n`],
    ['the end in front', `${END}\n${BEGIN}\n`],
  ])('is refused where there is %s', (_, readme) => {
    expect(() => fill(readme, {})).toThrow('once each');
  });
});

const RUN = { seconds: 1, rounds: 1 };

describe('the README', () => {
  const names = SCENARIOS.map(({ name }) => name);
  const parts = partsIn(README.split(END)[0] ?? '');

  test('has a place for benchmarks that the next one can fill', () => {
    expect(withParts(README, new Map(), names)).toBe(README);
  });

  test('has no part on what is not measured', () => {
    expect(names).toEqual(expect.arrayContaining(parts.map(([name]) => name)));
  });

  test('has a heading, a table, a machine and a date in each part', () => {
    const unlike = parts.filter(
      ([name, part]) =>
        !(
          part.startsWith(`### ${name}: `) &&
          /^\| --- \|(?: ---: \|)+\n\| \S/m.test(part) &&
          /^\d{4}-\d{2}-\d{2}, \d+-core .*; made with `[^`]+`\.$/m.test(part)
        ),
    );

    expect(unlike).toEqual([]);
  });
});
