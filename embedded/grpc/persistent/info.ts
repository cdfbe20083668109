import { SubscriptionInfo } from '@eventstore/db-client/generated/persistent_pb';
import type { EmbeddedEventStore } from '../../engine/event-store';
import type { Consumer } from './consumer';
import type { Group } from './group';
import { ALL, placeText, startText, type Place } from './settings';

interface Measured {
  readonly at: number;
  readonly total: number;
}

const MS_PER_SECOND = 1_000;

/**
 * What operators ask about groups: their settings, and how fast they have been since they were last asked.
 */
export class GroupInformation {
  private readonly measured = new WeakMap<Group | Consumer, Measured>();

  constructor(private readonly store: EmbeddedEventStore) {}

  async of(group: Group): Promise<SubscriptionInfo> {
    const { settings, figures } = group;
    const { stream } = settings;
    const textOf = (place: Place | undefined): string =>
      place === undefined || place < 0 ? '' : placeText(stream, place);
    const since = this.since(group, figures.total);
    return new SubscriptionInfo()
      .setEventSource(stream)
      .setGroupName(settings.group)
      .setStatus(statusOf(group))
      .setConnectionsList(group.consumers.map((consumer) => this.connection(consumer)))
      .setAveragePerSecond(since.perSecond)
      .setTotalItems(String(figures.total))
      .setCountSinceLastMeasurement(String(since.count))
      .setLastCheckpointedEventPosition(textOf(figures.checkpoint))
      .setLastKnownEventPosition(textOf(await this.lastKnown(group)))
      .setResolveLinkTos(settings.resolveLinks)
      .setStartFrom(startText(settings))
      .setMessageTimeoutMilliseconds(settings.messageTimeoutMs)
      .setExtraStatistics(settings.extraStatistics)
      .setMaxRetryCount(settings.maxRetryCount)
      .setLiveBufferSize(settings.liveBufferSize)
      .setBufferSize(settings.historyBufferSize)
      .setReadBatchSize(settings.readBatchSize)
      .setCheckPointAfterMilliseconds(settings.checkpointAfterMs)
      .setMinCheckPointCount(settings.minCheckpointCount)
      .setMaxCheckPointCount(settings.maxCheckpointCount)
      .setReadBufferCount(figures.live ? 0 : figures.buffered)
      .setLiveBufferCount(String(figures.live ? figures.buffered : 0))
      .setRetryBufferCount(figures.retrying)
      .setTotalInFlightMessages(figures.underWay)
      .setOutstandingMessagesCount(figures.underWay)
      .setNamedConsumerStrategy(settings.strategy)
      .setMaxSubscriberCount(settings.maxSubscriberCount)
      .setParkedMessageCount(String(figures.parked));
  }

  /** Of a stream its last event, whether it was taken yet or not. */
  private async lastKnown(group: Group): Promise<Place> {
    const { stream } = group.settings;
    if (stream === ALL) return group.figures.taken;
    const page = await this.store.readStream(stream, { direction: 'backwards', limit: 1 });
    return page.kind === 'events' ? page.head : -1;
  }

  private connection(consumer: Consumer): SubscriptionInfo.ConnectionInfo {
    const { name, total, slots, inFlight, observed } = consumer;
    const since = this.since(consumer, total);
    const measurements = observed.map(({ key, value }) =>
      new SubscriptionInfo.Measurement().setKey(key).setValue(String(value)),
    );
    return new SubscriptionInfo.ConnectionInfo()
      .setFrom(name.from)
      .setUsername(name.username)
      .setConnectionName(name.connectionName)
      .setAverageItemsPerSecond(since.perSecond)
      .setTotalItems(String(total))
      .setCountSinceLastMeasurement(String(since.count))
      .setObservedMeasurementsList(measurements)
      .setAvailableSlots(slots - inFlight)
      .setInFlightMessages(inFlight);
  }

  private since(
    what: Group | Consumer,
    total: number,
  ): { readonly count: number; readonly perSecond: number } {
    const at = performance.now();
    const before = this.measured.get(what);
    this.measured.set(what, { at, total });
    const count = total - (before?.total ?? 0);
    const ms = at - (before?.at ?? at);
    return { count, perSecond: ms > 0 ? Math.round((count * MS_PER_SECOND) / ms) : 0 };
  }
}

function statusOf({ figures }: Group): string {
  const state = figures.live ? 'Live' : 'Behind';
  return figures.replaying ? `${state}, ReplayingParkedMessages` : state;
}
