/** Horizontal bars. */
export interface Chart {
  readonly title: string;
  readonly subtitle: string;
  readonly panels: readonly Panel[];
  /** Lines below the bars. */
  readonly notes: readonly string[];
}

/** Bars with one unit and one scale, which starts at zero. */
export interface Panel {
  readonly unit: string;
  readonly bars: readonly Bar[];
}

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** The value for people. */
  readonly text: string;
  /** The least and the greatest of the values that this one stands for. */
  readonly range?: readonly [least: number, greatest: number] | undefined;
  /** Whether it is what the others are compared with. */
  readonly isAccented: boolean;
}

interface Columns {
  /** Where the labels end and the bars begin. */
  readonly barsAt: number;
  readonly width: number;
}

/** All lengths in pixels. */
const MARGIN = 20;
const GAP = 8;
const LEAST_WIDTH = 720;
const BAR_HEIGHT = 16;
const LINE_HEIGHT = 24;
const NOTE_HEIGHT = 18;
/** As wide as a character is on average in the widest fonts that may be found. */
const CHARACTER_WIDTH = 8;

const FIRST_BASELINE = MARGIN + 16;

// A background of its own, which goes with the colours on it wherever the chart is put.
const STYLE = `
  text { font: 13px system-ui, 'DejaVu Sans', sans-serif; fill: #1f2328 }
  .background { fill: #ffffff; stroke: #d0d7de }
  .title { font-size: 17px; font-weight: 600 }
  .note { fill: #59636e }
  .label { text-anchor: end }
  .bar { fill: #9aa4af }
  .accented { fill: #0969da }
  .range { stroke: #1f2328; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .background { fill: #0d1117; stroke: #3d444d }
    .note { fill: #9198a1 }
    .bar { fill: #656c76 }
    .accented { fill: #4493f8 }
    .range { stroke: #f0f6fc }
  }
`;

/** Draws a chart that reads well on any background. */
export function chartSvg({ title, subtitle, panels, notes }: Chart): string {
  const columns = columnsFor(panels, [subtitle, ...notes]);
  let y = FIRST_BASELINE;
  const down = (height: number) => {
    y += height;
    return y;
  };
  const elements = [
    text('title', MARGIN, y, title),
    text('note', MARGIN, down(LINE_HEIGHT), subtitle),
    ...panels.flatMap(({ unit, bars }) => {
      const scale = scaleOf(bars, columns);
      return [
        text('note', columns.barsAt, down(LINE_HEIGHT + GAP), unit),
        ...bars.flatMap((bar) => barElements(bar, columns.barsAt, down(LINE_HEIGHT), scale)),
      ];
    }),
    ...notes.map((note, index) =>
      text('note', MARGIN, down(index === 0 ? LINE_HEIGHT + GAP : NOTE_HEIGHT), note),
    ),
  ];
  const { width } = columns;
  const height = y + MARGIN;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" \
viewBox="0 0 ${width} ${height}" role="img">
<title>${escaped(`${title}: ${subtitle}`)}</title>
<style>${STYLE}</style>
<rect class="background" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="6"/>
${elements.join('\n')}
</svg>
`;
}

function columnsFor(panels: readonly Panel[], lines: readonly string[]): Columns {
  const labels = panels.flatMap(({ bars }) => bars.map(({ label }) => label));
  return {
    barsAt: MARGIN + widest(labels) + GAP,
    width: Math.max(LEAST_WIDTH, widest(lines) + 2 * MARGIN),
  };
}

/** @returns pixels for one unit; the values' texts have room behind the bars */
function scaleOf(bars: readonly Bar[], { barsAt, width }: Columns): number {
  const texts = widest(bars.map((bar) => bar.text));
  const greatest = Math.max(...bars.map(({ value, range }) => range?.[1] ?? value));
  return greatest > 0 ? (width - MARGIN - texts - GAP - barsAt) / greatest : 0;
}

/** @param baseline of the texts, which stand in the bar's middle */
function barElements(bar: Bar, x: number, baseline: number, scale: number): string[] {
  const { label, value, range, isAccented } = bar;
  const middle = baseline - 4.5;
  const size = `width="${number(value * scale)}" height="${BAR_HEIGHT}"`;
  const end = x + Math.max(value, range?.[1] ?? 0) * scale;
  const line = range?.map((limit) => number(x + limit * scale)) ?? [];
  return [
    text('label', x - GAP, baseline, label),
    `<rect class="${isAccented ? 'bar accented' : 'bar'}" x="${x}" ` +
      `y="${middle - BAR_HEIGHT / 2}" ${size} rx="2"/>`,
    ...(range ? [`<path class="range" d="M${line[0]} ${middle}H${line[1]}"/>`] : []),
    text('value', end + GAP, baseline, bar.text),
  ];
}

function text(className: string, x: number, y: number, content: string): string {
  return `<text class="${className}" x="${number(x)}" y="${y}">${escaped(content)}</text>`;
}

function widest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map(({ length }) => length)) * CHARACTER_WIDTH;
}

function number(value: number): string {
  return String(Math.round(value * 10) / 10);
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

function escaped(content: string): string {
  return content.replace(/[&<>"]/g, (character) => ENTITIES[character] ?? '');
}
