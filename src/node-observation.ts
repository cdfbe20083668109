import type { NestExpressApplication } from '@nestjs/platform-express';
import type { Counter } from 'prom-client';
import { LIVE_GROUP } from '../projections/live';
import { ShardAway } from './application/ports/event-log';
import { Feed } from './delivery/feed';
import { GatewayCounters } from './gateway/gateway-counters';
import { Sockets } from './gateway/sockets';
import { SystemClock } from './kernel/clock';
import { LagProbe, type Follower } from './lag-probe';
import { HealthChecks, type CheckResult } from './observability/health';
import { Metrics } from './observability/metrics';
import type { ProjectorObserver, Stores } from './stores';

/** Read models that are this far behind the log are told as down; short of it they are only slow. */
const PROJECTION_LAG_MAX_MS = 30_000;

/** Lets a counter follow a total that somebody else keeps. */
function following<Label extends string>(counter: Counter<Label>) {
  const seen = new Map<string, number>();
  return (labels: Record<Label, string>, total: number): void => {
    const key = JSON.stringify(labels);
    const more = total - (seen.get(key) ?? 0);
    if (more > 0) counter.inc(labels, more);
    seen.set(key, total);
  };
}

/** Shows what the gateway keeps count of as metrics. */
function observeGateway(app: NestExpressApplication): void {
  const [metrics, sockets, counters] = [app.get(Metrics), app.get(Sockets), app.get(GatewayCounters)];
  const refused = following<'code' | 'door'>(metrics.refused);
  const closed = following<'code'>(metrics.socketsClosed);
  const slow = following<'outcome'>(metrics.slowConsumers);
  const outbound = following<never>(metrics.outboundBytes);
  const opened = following<never>(metrics.socketsOpened);
  metrics.beforeExpose(() => {
    metrics.sockets.set({ state: 'open' }, sockets.size);
    metrics.sockets.set({ state: 'authenticated' }, sockets.authenticated);
    metrics.outboundBytesWaiting.set(sockets.outboundBytesWaiting);
    outbound({}, counters.outboundBytes);
    opened({}, counters.opened);
    slow({ outcome: 'resync' }, counters.slowRecovered);
    slow({ outcome: 'closed' }, counters.slowClosed);
    for (const [code, total] of counters.refusedByCode) refused({ code, door: 'socket' }, total);
    for (const [code, total] of counters.closedByCode) closed({ code: String(code) }, total);
  });
}

/**
 * Stores fail apart: a node without one of them still serves the rest, so none of these takes it out of the
 * balancer. What the node cannot do without, its feed, is registered by delivery itself.
 */
function checkStores(stores: Stores, health: HealthChecks, lagMs: () => number): void {
  const up = { status: 'up' } as const;
  const eventStore = (): Promise<CheckResult> =>
    stores.eventLog.head().then(
      () => up,
      (error: unknown) => {
        if (!(error instanceof ShardAway)) throw error;
        return { status: 'down', detail: `shard ${error.shard + 1} is away` };
      },
    );
  health.register('eventStore', eventStore, false);
  health.register('postgres', () => stores.database.query('SELECT 1').then(() => up), false);
  health.register(
    'projection',
    () =>
      lagMs() < PROJECTION_LAG_MAX_MS ? up : { status: 'down', detail: 'the read models are behind the log' },
    false,
  );
}

/** What an observation does by the clock ends with `stop`, before the stores are closed. */
interface Observation {
  stop(): Promise<void>;
}

function observe(
  stores: Stores,
  health: HealthChecks,
  metrics: Metrics,
  others: readonly Follower[],
): Observation {
  let lag = 0;
  const readModels: Follower = {
    reached: () => stores.progress.current(),
    tell: (lagMs) => {
      lag = lagMs;
      metrics.projectionLagSeconds.set({ projection: LIVE_GROUP }, lagMs / 1_000);
    },
  };
  checkStores(stores, health, () => lag);
  const probe = new LagProbe(stores.eventLog, new SystemClock(), [readModels, ...others]);
  probe.start();
  return { stop: () => probe.stop() };
}

/** Metrics and health of a node that no device connects to. */
export function observeNode(stores: Stores, health: HealthChecks, metrics: Metrics): Observation {
  return observe(stores, health, metrics, []);
}

/** Metrics and health of a node that is about to listen to devices. */
export function observeGatewayNode(app: NestExpressApplication, stores: Stores): Observation {
  const [metrics, feed] = [app.get(Metrics), app.get(Feed)];
  observeGateway(app);
  metrics.beforeExpose(() => {
    metrics.projectionLagEvents.set({ projection: LIVE_GROUP }, feed.trail.behind(stores.progress.position));
  });
  const sockets: Follower = {
    reached: () => (feed.position === undefined ? undefined : feed.handled),
    tell: (lagMs) => {
      metrics.feedLagSeconds.set(lagMs / 1_000);
    },
  };
  return observe(stores, app.get(HealthChecks), metrics, [sockets]);
}

/** What the projector of this process tells, as metrics. */
export function observeProjector(metrics: Metrics): ProjectorObserver {
  return {
    onProgress: ({ events }) => {
      metrics.projectionEvents.inc({ projection: LIVE_GROUP }, events);
    },
    onPoison: () => {
      metrics.projectionPoison.inc({ group: LIVE_GROUP });
    },
  };
}
