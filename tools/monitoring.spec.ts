import { parser } from '@prometheus-io/lezer-promql';
import { parse } from 'yaml';
import { Metrics, NODE_METRICS } from '../src/observability/metrics';
import { readText } from '../test/support/deployment';

interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly labels?: { readonly severity: string };
  readonly annotations?: { readonly summary: string };
}
interface Panel {
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly w: number };
  readonly targets?: readonly { readonly expr: string }[];
}

const WATCHED = [
  'parley_send_persisted_milliseconds_bucket',
  'parley_send_delivered_milliseconds_bucket',
  'parley_sync_milliseconds_bucket',
  'parley_projection_lag_events',
  'parley_projection_lag_seconds',
  'parley_feed_lag_events',
  'parley_feed_lag_seconds',
  'parley_reconnects_total',
  'parley_sockets',
  'parley_outbound_bytes_waiting',
  'parley_slow_consumers_total',
  'parley_refused_total',
  'parley_presence_staleness_milliseconds_bucket',
  'parley_receipt_events_total',
  'parley_append_conflicts_total',
  'parley_append_milliseconds_bucket',
  'parley_postgres_milliseconds_bucket',
  'parley_log_read_milliseconds_bucket',
  'nodejs_eventloop_lag_p99_seconds',
];

const { groups } = parse(readText('deploy', 'prometheus', 'rules.yml')) as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const records = rules.flatMap(({ record }) => (record === undefined ? [] : [record]));
const alerts = rules.filter(({ alert }) => alert !== undefined);
const { panels } = JSON.parse(readText('deploy', 'grafana', 'dashboards', 'parley.json')) as {
  panels: Panel[];
};
const queries = panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => [title, expr] as const),
);

/** The metrics that an expression asks for. @throws Error when it is no PromQL */
function metricsIn(text: string): string[] {
  const expr = text.replaceAll('$__rate_interval', '5m');
  const names: string[] = [];
  parser.parse(expr).iterate({
    enter: ({ type, from, to, node }) => {
      if (type.isError) throw new Error(`not PromQL at ${from}: ${expr}`);
      if (type.name === 'Identifier' && node.parent?.type.name === 'VectorSelector') {
        names.push(expr.slice(from, to));
      }
    },
  });
  return names;
}

/** Every series name that a scrape of ours may have, and what Prometheus adds. */
async function seriesNames(): Promise<ReadonlySet<string>> {
  const definitions = (await new Metrics().registry.getMetricsAsJSON()) as unknown as {
    name: string;
    type: string;
  }[];
  const own = definitions.flatMap(({ name, type }) =>
    type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => name + suffix) : [name],
  );
  return new Set([...own, ...NODE_METRICS, ...records, 'up']);
}

describe('deploy/prometheus/rules.yml', () => {
  it.each(rules.map(({ record, alert, expr }) => [record ?? alert ?? '', expr]))(
    '%s is PromQL over metrics that exist',
    async (_name, expr) => {
      const known = await seriesNames();
      const names = metricsIn(expr);
      expect(names.length).toBeGreaterThan(0);
      expect(names.filter((name) => !known.has(name))).toEqual([]);
    },
  );

  it('says of every alert what it is, how urgent it is, and in docs/operations.md what to do', () => {
    const docs = readText('docs', 'operations.md');
    for (const { alert = '', labels, annotations } of alerts) {
      expect([alert, labels?.severity]).toEqual([alert, expect.stringMatching(/^(page|ticket)$/)]);
      expect(annotations?.summary.length).toBeGreaterThan(10);
      expect(docs).toContain(`| \`${alert}\` `);
    }
    const documented = Array.from(docs.matchAll(/^\| `([A-Z]\w+)` +\|/gm), ([, name]) => name);
    expect(documented.sort()).toEqual(alerts.map(({ alert }) => alert).sort());
  });

  it('has the recording rules that docs/metrics.md lists', () => {
    const documented = Array.from(
      readText('docs', 'metrics.md').matchAll(/^\| `(parley:[\w:]+)`/gm),
      ([, name]) => name,
    );
    expect(documented).toEqual(records);
  });

  it('does not see through what is no PromQL, or asks for a metric that is not there', async () => {
    expect(() => metricsIn('sum(rate(parley_sockets[5m])')).toThrow('not PromQL');
    expect((await seriesNames()).has('parley_made_up_total')).toBe(false);
    expect(metricsIn('sum by (le) (rate(a_total{b="c"}[5m])) / d')).toEqual(['a_total', 'd']);
  });
});

describe('deploy/grafana/dashboards/parley.json', () => {
  it.each(queries)('%s asks by PromQL for metrics that exist: %s', async (_title, expr) => {
    const known = await seriesNames();
    expect(metricsIn(expr).filter((name) => !known.has(name))).toEqual([]);
  });

  it('shows what is promised to be watched, in panels that fit the page', () => {
    const shown = new Set(
      [...queries.map(([, expr]) => expr), ...rules.map(({ expr }) => expr)].flatMap(metricsIn),
    );
    expect(WATCHED.filter((name) => !shown.has(name))).toEqual([]);
    for (const { gridPos } of panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
  });
});
