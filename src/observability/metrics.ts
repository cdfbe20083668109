import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/** Milliseconds; fine around what DESIGN.md section 8 promises, coarse where something is wrong anyway. */
const LATENCY_BUCKETS_MS = [0.5, 1, 2, 4, 6, 8, 10, 15, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];
const BATCH_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024];
const COUNT_BUCKETS = [0, 1, 10, 100, 1_000, 10_000, 100_000];

/** Those of Node's own metrics that docs/metrics.md promises, for dashboards and alerts. */
export const NODE_METRICS: readonly string[] = [
  'nodejs_eventloop_lag_seconds',
  'nodejs_eventloop_lag_p50_seconds',
  'nodejs_eventloop_lag_p99_seconds',
  'nodejs_heap_size_used_bytes',
  'nodejs_gc_duration_seconds',
  'process_resident_memory_bytes',
  'process_cpu_seconds_total',
  'process_open_fds',
  'process_max_fds',
  'process_start_time_seconds',
];

/**
 * Every metric of the process, its name and its help, in this one place. Labels take values of closed sets only
 * (codes, route templates, projection names): a label that a client can choose would grow without bound.
 */
export class Metrics {
  readonly registry = new Registry();
  private readonly readers: (() => void)[] = [];

  readonly role = this.gauge('parley_role', '1 for each role of this node', ['role']);
  readonly sendsAcknowledged = this.counter(
    'parley_sends_acknowledged_total',
    'Messages acknowledged to their senders; duplicate: a retry of one that was stored before',
    ['duplicate'],
  );
  readonly sendToPersistedMs = this.histogram(
    'parley_send_persisted_milliseconds',
    'From a send reaching this node to its event being durable',
  );
  readonly sendToDeliveredMs = this.histogram(
    'parley_send_delivered_milliseconds',
    'From a message being decided to its push being handed to the sockets of this node',
  );
  readonly sendsFailed = this.counter(
    'parley_sends_failed_total',
    'Messages that could not be acknowledged through no fault of their senders, by error code',
    ['code'],
  );
  readonly syncMs = this.histogram('parley_sync_milliseconds', 'From a sync frame to its sync.done');
  readonly syncWaitMs = this.histogram(
    'parley_sync_wait_milliseconds',
    'Part of a sync in which it waited for the read models to pass what this node has delivered',
  );
  readonly syncEvents = this.histogram(
    'parley_sync_events',
    'Events that one sync brought its device: how far behind it was',
    [],
    COUNT_BUCKETS,
  );
  readonly reconnects = this.counter(
    'parley_reconnects_total',
    'Sockets whose first sync brought cursors: devices that came back, not new ones',
  );
  readonly sockets = this.gauge('parley_sockets', 'Open sockets of this node', ['state']);
  readonly outboundBytesWaiting = this.gauge(
    'parley_outbound_bytes_waiting',
    'Bytes that wait for slow readers, over all sockets of this node',
  );
  readonly socketsOpened = this.counter('parley_sockets_opened_total', 'Sockets accepted');
  readonly socketsClosed = this.counter('parley_sockets_closed_total', 'Sockets closed, by close code', [
    'code',
  ]);
  readonly refused = this.counter('parley_refused_total', 'Refusals by error code and door (rest, socket)', [
    'code',
    'door',
  ]);
  readonly projectionLagSeconds = this.gauge(
    'parley_projection_lag_seconds',
    'Age of the oldest event that a projection has not applied yet; looked at every few seconds',
    ['projection'],
  );
  readonly projectionLagEvents = this.gauge(
    'parley_projection_lag_events',
    'Events that this node has read from the log since it started and a projection has not applied yet',
    ['projection'],
  );
  readonly projectionEvents = this.counter(
    'parley_projection_events_total',
    'Events applied by a projection',
    ['projection'],
  );
  readonly feedLagEvents = this.gauge(
    'parley_feed_lag_events',
    'Events read from the log by this node and not yet handed to its sockets',
  );
  readonly feedLagSeconds = this.gauge(
    'parley_feed_lag_seconds',
    'Age of the oldest event in the log that this node has not handed to its sockets; looked at every few seconds',
  );
  readonly feedRestarts = this.counter(
    'parley_feed_restarts_total',
    'Times the subscription of this node ended and was taken up again',
  );
  readonly feedRepairs = this.counter(
    'parley_feed_repairs_total',
    'Events that the subscription of this node left out, handed out from the log by a probe',
  );
  readonly feedShards = this.gauge(
    'parley_feed_shards',
    'Shards of the log that this node follows, by source: log, by itself, or relay',
    ['source'],
  );
  readonly relayEndings = this.counter(
    'parley_relay_endings_total',
    'Times this node went from a relay to the log itself; why: hole, silent, ended, overflow, uncovered or term',
    ['why'],
  );
  readonly relayActive = this.gauge(
    'parley_relay_active',
    'Shards that this process relays just now, because they are above the configured rate',
  );
  readonly relayEvents = this.counter(
    'parley_relay_events_total',
    'Events of the log that this process has read as a relay',
  );
  readonly relayNodes = this.gauge(
    'parley_relay_nodes',
    'Nodes that this process relays to, over its shards',
  );
  readonly relayBatches = this.counter(
    'parley_relay_batches_total',
    'Batches of this relay to nodes; outcome: sent, or omitted, because there was too much',
    ['outcome'],
  );
  readonly relayBytes = this.counter('parley_relay_bytes_total', 'Bytes of the batches that were sent');
  readonly relayLagEvents = this.gauge(
    'parley_relay_lag_events',
    'Events read from the log by this relay and not yet handed to the batches of nodes',
  );
  readonly outboundBytes = this.counter('parley_outbound_bytes_total', 'Bytes written to sockets');
  readonly slowConsumers = this.counter(
    'parley_slow_consumers_total',
    'Times a socket passed its high-water mark; outcome: resync or closed',
    ['outcome'],
  );
  readonly appends = this.counter('parley_appends_total', 'Appends to the log that were stored');
  readonly appendMs = this.histogram(
    'parley_append_milliseconds',
    'From handing an append to the log to its events being durable',
  );
  readonly appendEvents = this.histogram(
    'parley_append_events',
    'Events in one append: commands gathered while the one before was under way',
    [],
    BATCH_BUCKETS,
  );
  readonly appendConflicts = this.counter(
    'parley_append_conflicts_total',
    'Appends refused because another node was first; each is decided again',
  );
  readonly logReadMs = this.histogram(
    'parley_log_read_milliseconds',
    'Reads of the log, by operation (stream, all)',
    ['operation'],
  );
  readonly postgresMs = this.histogram(
    'parley_postgres_milliseconds',
    'Statements and transactions in PostgreSQL, by kind and pool, with the wait for a connection',
    ['kind', 'pool'],
  );
  readonly storeFailures = this.counter(
    'parley_store_failures_total',
    'Calls that a store did not answer or refused for now, by store (log, postgres)',
    ['store'],
  );
  readonly presenceStalenessMs = this.histogram(
    'parley_presence_staleness_milliseconds',
    'From a change of presence reaching this node to its watchers here being told, oldest of each batch',
  );
  readonly receiptEvents = this.counter(
    'parley_receipt_events_total',
    'Receipt events written to the log, by kind (delivered, read)',
    ['kind'],
  );
  readonly receiptCursors = this.counter(
    'parley_receipt_cursors_total',
    'Receipt cursors in those events, by kind: what devices confirmed',
    ['kind'],
  );
  readonly receiptCursorsDropped = this.counter(
    'parley_receipt_cursors_dropped_total',
    'Receipt cursors given up after every attempt to write them failed; devices repeat them when they come back',
  );
  readonly projectionPoison = this.counter(
    'parley_projection_poison_total',
    'Attempts at an event that cannot be projected: the group of projections stands still before it',
    ['group'],
  );
  readonly httpRequestMs = this.histogram(
    'parley_http_request_milliseconds',
    'REST requests, by method, route template and status',
    ['method', 'route', 'status'],
  );
  readonly passwordHashesWaiting = this.gauge(
    'parley_password_hashes_waiting',
    'Registrations and logins waiting for their password to be hashed',
  );

  constructor(roles: Iterable<string> = []) {
    for (const role of roles) this.role.set({ role }, 1);
  }

  /** Memory, CPU, file descriptors, garbage collection and the delay of the event loop (Node's own names). */
  collectProcess(): void {
    collectDefaultMetrics({ register: this.registry });
  }

  /** `read` runs before every exposition: for values that somebody else keeps. */
  beforeExpose(read: () => void): void {
    this.readers.push(read);
  }

  /** The exposition format of Prometheus, with its content type. */
  async expose(): Promise<{ readonly contentType: string; readonly text: string }> {
    for (const read of this.readers) read();
    return { contentType: this.registry.contentType, text: await this.registry.metrics() };
  }

  private counter<Label extends string = never>(name: string, help: string, labelNames: Label[] = []) {
    return new Counter<Label>({ name, help, labelNames, registers: [this.registry] });
  }

  private gauge<Label extends string = never>(name: string, help: string, labelNames: Label[] = []) {
    return new Gauge<Label>({ name, help, labelNames, registers: [this.registry] });
  }

  private histogram<Label extends string = never>(
    name: string,
    help: string,
    labelNames: Label[] = [],
    buckets: number[] = LATENCY_BUCKETS_MS,
  ) {
    return new Histogram<Label>({ name, help, labelNames, buckets, registers: [this.registry] });
  }
}
