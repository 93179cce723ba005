const GAP = '  ';

/** Rows under a heading, in columns as wide as their widest cell. */
export function columns(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [heading, ...rows].map((cells) => cells.map(printable));
  const widths = heading.map((_, column) =>
    Math.max(...lines.map((cells) => cells[column]?.length ?? 0)),
  );
  return lines.map((cells) => `${padded(cells, widths)}\n`).join('');
}

/** One name and its value a line. */
export function fields(values: Readonly<Record<string, string>>): string {
  const width = Math.max(...Object.keys(values).map((name) => name.length));
  return Object.entries(values)
    .map(([name, value]) => `${padded([name, printable(value)], [width])}\n`)
    .join('');
}

export function yesNo(value: boolean): string {
  return value ? 'yes' : 'no';
}

/** What a token or a daemon sends must not steer the terminal that it is shown on. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '\u{fffd}');
}

function padded(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, column) => cell.padEnd(widths[column] ?? 0))
    .join(GAP)
    .trimEnd();
}
