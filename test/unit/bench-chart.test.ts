import { describe, expect, test } from 'vitest';
import { type Chart, chartSvg } from '../../scripts/bench/chart.ts';

const CHART: Chart = {
  title: 'speed',
  subtitle: 'of two',
  panels: [
    {
      unit: 'ops/s',
      bars: [
        { label: 'ours', value: 100, text: '100', range: [50, 200], isAccented: true },
        { label: 'theirs', value: 200, text: '200', isAccented: false },
      ],
    },
  ],
  notes: ['ours/theirs = 0.5', 'a machine'],
};

interface Element {
  readonly className: string;
  readonly numbers: Readonly<Record<string, number>>;
}

/** The drawing's rectangles without its background. */
function barsOf(svg: string): Element[] {
  const rectangles = [...svg.matchAll(/<rect class="(?<className>bar[^"]*)" (?<rest>[^/]*)\/>/g)];
  return rectangles.map(({ groups }) => ({
    className: groups?.['className'] ?? '',
    numbers: Object.fromEntries(
      [...(groups?.['rest'] ?? '').matchAll(/(\w+)="([\d.]+)"/g)].map(([, name, value]) => [
        name,
        Number(value),
      ]),
    ),
  }));
}

function textsOf(svg: string): string[] {
  return [...svg.matchAll(/<text [^>]*>(?<content>[^<]*)<\/text>/g)].map(
    ({ groups }) => groups?.['content'] ?? '',
  );
}

/** The names of elements that are open at the drawing's end. */
function openElements(svg: string): string[] {
  const open: string[] = [];
  for (const [, end, name = '', empty] of svg.matchAll(/<(\/?)(\w+)(?:\s[^<>]*?)?(\/?)>/g)) {
    if (end) expect(open.pop()).toBe(name);
    else if (!empty) open.push(name);
  }
  return open;
}

describe('a chart', () => {
  const svg = chartSvg(CHART);

  test('says everything that it is given, from top to bottom', () => {
    expect(textsOf(svg)).toEqual([
      ...['speed', 'of two', 'ops/s'],
      ...['ours', '100', 'theirs', '200'],
      ...['ours/theirs = 0.5', 'a machine'],
    ]);
  });

  test('has bars as long as their values are great', () => {
    const [ours, theirs] = barsOf(svg);

    expect(theirs?.numbers['x']).toBe(ours?.numbers['x']);
    expect(theirs?.numbers['width']).toBeCloseTo(2 * (ours?.numbers['width'] ?? 0), 0);
  });

  test('accents the bar that others are compared with', () => {
    expect(barsOf(svg).map(({ className }) => className)).toEqual(['bar accented', 'bar']);
  });

  test('marks the range of a value', () => {
    const [ours] = barsOf(svg);
    const { x = 0, width = 0 } = ours?.numbers ?? {};

    const [, from, to] = /<path class="range" d="M([\d.]+) [\d.]+H([\d.]+)"\/>/.exec(svg) ?? [];

    expect(Number(from)).toBeCloseTo(x + width / 2, 0);
    expect(Number(to)).toBeCloseTo(x + 2 * width, 0);
  });

  test('closes every element that it opens', () => {
    expect(openElements(svg)).toEqual([]);
  });

  test('has colours for dark surroundings', () => {
    expect(svg).toContain('@media (prefers-color-scheme: dark)');
  });
});

test('text cannot become a part of the drawing', () => {
  const bars = [{ label: '<b> & "c"', value: 1, text: '</text>', isAccented: false }];

  const svg = chartSvg({ ...CHART, title: '<script>', panels: [{ unit: 'ms', bars }] });

  expect(textsOf(svg)).toContain('&lt;b&gt; &amp; &quot;c&quot;');
  expect(svg).not.toContain('<script>');
  expect(openElements(svg)).toEqual([]);
});

test('is as wide as its longest line needs', () => {
  const widthOf = (chart: Chart) => Number(/<svg [^>]*?width="(\d+)"/.exec(chartSvg(chart))?.[1]);

  expect(widthOf({ ...CHART, notes: ['m'.repeat(200)] })).toBeGreaterThan(1_000);
  expect(widthOf(CHART)).toBeLessThan(1_000);
});

test('draws values of nothing as no bars', () => {
  const bars = [{ label: 'nothing', value: 0, text: '0', isAccented: false }];

  const [bar] = barsOf(chartSvg({ ...CHART, panels: [{ unit: 'ms', bars }] }));

  expect(bar?.numbers['width']).toBe(0);
});
