import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MetricObjectWithValues, MetricValue } from 'prom-client';
import { Metrics, NODE_METRICS } from './metrics';

type Definition = MetricObjectWithValues<MetricValue<string>> & { readonly type: string };

const DOCS = readFileSync(join(__dirname, '../../docs/metrics.md'), 'utf8');
const rows = DOCS.split('\n')
  .filter((line) => /^\| `(parley|nodejs|process)_/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim().replaceAll('`', '')))
  .map(([, name, type, labels, what]) => ({ name, type, labels: labels?.split(', ').filter(Boolean), what }));

describe('docs/metrics.md', () => {
  it('lists exactly the metrics of Parley, with their types, labels and meaning', async () => {
    const metrics = new Metrics();
    const definitions = (await metrics.registry.getMetricsAsJSON()) as Definition[];
    const labelsOf = (name: string): readonly string[] =>
      (metrics.registry.getSingleMetric(name) as unknown as { labelNames: string[] }).labelNames;
    expect(rows.filter(({ name }) => name?.startsWith('parley_'))).toEqual(
      definitions.map(({ name, type, help }) => ({ name, type, labels: [...labelsOf(name)], what: help })),
    );
  });

  it('lists those of Node that dashboards and alerts may rely on, and every process has them', async () => {
    const metrics = new Metrics();
    metrics.collectProcess();
    const { text } = await metrics.expose();
    expect(rows.filter(({ name }) => !name?.startsWith('parley_')).map(({ name }) => name)).toEqual(
      NODE_METRICS,
    );
    for (const name of NODE_METRICS) expect(text).toContain(`# TYPE ${name} `);
  });
});
