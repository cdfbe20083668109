import type { EventLog } from '../../application/ports/event-log';
import type { RelayBus } from '../../application/ports/relay-bus';
import { SystemClock } from '../../kernel/clock';
import type { Metrics } from '../../observability/metrics';
import { Audiences } from '../audiences';
import { ConversationLanes } from '../conversation-lanes';
import { Feed } from '../feed';
import { FeedProbe } from '../feed-probe';
import { RelayPublisher } from './publisher';

interface Options {
  /** The whole log. */
  readonly eventLog: EventLog;
  readonly shard: number;
  readonly term: number;
  /** Events a second from which on nodes are relayed to. */
  readonly above: number;
  readonly bus: RelayBus;
  readonly metrics: Metrics;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** Follows a shard as a gateway does, with nodes in place of sockets. */
export async function relayShard(options: Options): Promise<void> {
  const { eventLog, shard, metrics, signal } = options;
  const log = eventLog.shard(shard);
  const publisher = new RelayPublisher(options);
  const lanes = new ConversationLanes(new Audiences(log), publisher);
  const lag = { feedLagEvents: metrics.relayLagEvents, feedRestarts: metrics.feedRestarts };
  const feed = new Feed(log, publisher, lanes, new SystemClock(), lag);
  const probe = new FeedProbe(log, feed, metrics);
  const over = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => {
      resolve();
    });
    if (signal.aborted) resolve();
  });
  await Promise.race([feed.start(), over]);
  if (!signal.aborted) {
    publisher.start(feed);
    probe.start();
  }
  await over;
  publisher.stop();
  await probe.onApplicationShutdown();
  await feed.stop();
}
