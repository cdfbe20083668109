import { plain, type Summary } from './summary';

/** A case's metrics, one line each; with several builds or peers, one column each and the ratio to the first. */
export function table(title: string, columns: Readonly<Record<string, Record<string, Summary>>>): string {
  const names = Object.keys(columns);
  const metrics = [...new Set(names.flatMap((name) => Object.keys(columns[name] ?? {})))];
  const first = names[0] ?? '';
  const rows = metrics.map((metric) => [
    metric,
    ...names.map((name) => cell(columns[name]?.[metric])),
    ...names.slice(1).map((name) => ratio(columns[name]?.[metric], columns[first]?.[metric])),
  ]);
  const head = [title, ...names, ...names.slice(1).map((name) => `${name} ÷ ${first}`)];
  const widths = head.map((_, n) => Math.max(...[head, ...rows].map((row) => row[n]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row.map((text, n) => (n === 0 ? text.padEnd(widths[n] ?? 0) : text.padStart(widths[n] ?? 0))).join('  ');
  return [line(head), ...rows.map(line)].join('\n');
}

const cell = (summary: Summary | undefined): string => {
  if (summary === undefined) return '–';
  const { median, min, max } = summary;
  return min === max ? plain(median) : `${plain(median)} (${plain(min)}–${plain(max)})`;
};

const ratio = (one: Summary | undefined, first: Summary | undefined): string =>
  one === undefined || first === undefined || first.median === 0
    ? '–'
    : (one.median / first.median).toFixed(2);
