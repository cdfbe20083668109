import type { NestExpressApplication } from '@nestjs/platform-express';
import type { Counter } from 'prom-client';
import { LIVE_GROUP } from '../projections/live';
import { Feed } from './delivery/feed';
import { GatewayCounters } from './gateway/gateway-counters';
import { Sockets } from './gateway/sockets';
import { HealthChecks } from './observability/health';
import { Metrics } from './observability/metrics';
import type { ProjectorObserver, Stores } from './stores';

/** Read models that are this far behind the node's own feed are told as down; short of it they are only slow. */
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
  metrics.beforeExpose(() => {
    metrics.sockets.set({ state: 'open' }, sockets.size);
    metrics.sockets.set({ state: 'authenticated' }, sockets.authenticated);
    metrics.outboundBytesWaiting.set(sockets.outboundBytesWaiting);
    outbound({}, counters.outboundBytes);
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
function checkStores(app: NestExpressApplication, stores: Stores): void {
  const [health, feed] = [app.get(HealthChecks), app.get(Feed)];
  const up = { status: 'up' } as const;
  health.register('eventStore', () => stores.eventLog.head().then(() => up), false);
  health.register('postgres', () => stores.database.query('SELECT 1').then(() => up), false);
  let behindSince: number | undefined;
  health.register(
    'projection',
    async () => {
      const goal = feed.position;
      const passed = goal === undefined || (await stores.progress.waitForPosition(goal, 200));
      behindSince = passed ? undefined : (behindSince ?? performance.now());
      if (behindSince === undefined || performance.now() - behindSince < PROJECTION_LAG_MAX_MS) return up;
      return { status: 'down', detail: 'the read models are behind the log' };
    },
    false,
  );
}

/** Metrics and health of a node that is about to listen. */
export function observeNode(app: NestExpressApplication, stores: Stores): void {
  observeGateway(app);
  checkStores(app, stores);
}

/** What the projector of this process tells, as metrics. */
export function observeProjector(app: NestExpressApplication): ProjectorObserver {
  const metrics = app.get(Metrics);
  return {
    onProgress: ({ events, lagMs }) => {
      metrics.projectionEvents.inc({ projection: LIVE_GROUP }, events);
      metrics.projectionLagSeconds.set({ projection: LIVE_GROUP }, lagMs / 1_000);
    },
    onPoison: () => {
      metrics.projectionPoison.inc({ group: LIVE_GROUP });
    },
  };
}
