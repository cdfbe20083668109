import { randomUUID } from 'node:crypto';
import type { EmbeddedEventStore } from '../../engine/event-store';
import { objectionTo, placeOf, startText, STRATEGIES, type GroupSettings, type Place } from './settings';

/** Where EventStoreDB keeps the same. */
const CONFIG_STREAM = '$persistentSubscriptionConfig';
const CONFIG_TYPE = '$PersistentConfig';
const CONFIG_VERSION = '2';
const KEPT_CONFIGS = 2;

/** A group as it is stored. */
export interface StoredGroup {
  readonly settings: GroupSettings;
  /** Where it begins without a checkpoint; for one that begins at the end, where that was. */
  readonly after: Place;
}

/** All groups are in one event, the last of its stream. */
export async function loadGroups(store: EmbeddedEventStore): Promise<readonly StoredGroup[]> {
  const page = await store.readStream(CONFIG_STREAM, { direction: 'backwards', limit: 1 });
  const json: unknown = page.kind === 'events' ? page.events[0]?.dataJson : undefined;
  const entries = fields(json)['entries'];
  if (!Array.isArray(entries)) return [];
  return entries.map(groupOf).filter((group) => group !== undefined);
}

/** @throws EngineError */
export async function saveGroups(store: EmbeddedEventStore, groups: readonly StoredGroup[]): Promise<void> {
  const known = await store.streamMetadata(CONFIG_STREAM);
  if (known === undefined) await store.setStreamMetadata(CONFIG_STREAM, { $maxCount: KEPT_CONFIGS }, 'any');
  const data = JSON.stringify({
    version: CONFIG_VERSION,
    updated: new Date().toISOString(),
    entries: groups.map(entryOf),
  });
  const event = { id: randomUUID(), type: CONFIG_TYPE, isJson: true, data, metadata: '' };
  await store.append(CONFIG_STREAM, [event], 'any');
}

function entryOf({ settings, after }: StoredGroup) {
  const { filter, stream, group } = settings;
  return {
    stream,
    group,
    ...(filter === undefined ? {} : { filter }),
    startPosition: startText(settings),
    startAfter: after,
    resolveLinkTos: settings.resolveLinks,
    extraStatistics: settings.extraStatistics,
    messageTimeout: settings.messageTimeoutMs,
    maxRetryCount: settings.maxRetryCount,
    checkPointAfter: settings.checkpointAfterMs,
    minCheckPointCount: settings.minCheckpointCount,
    maxCheckPointCount: settings.maxCheckpointCount,
    maxSubscriberCount: settings.maxSubscriberCount,
    liveBufferSize: settings.liveBufferSize,
    readBatchSize: settings.readBatchSize,
    historyBufferSize: settings.historyBufferSize,
    namedConsumerStrategy: settings.strategy,
  };
}

/** @returns undefined: somebody else wrote it, in a way that is not understood */
function groupOf(entry: unknown): StoredGroup | undefined {
  const json = fields(entry);
  const [stream, group] = [json['stream'], json['group']];
  const strategy = STRATEGIES.find((name) => name === json['namedConsumerStrategy']);
  if (typeof stream !== 'string' || typeof group !== 'string' || strategy === undefined) return undefined;
  const start = placeOf(stream, json['startPosition']) ?? 0;
  const count = (key: string): number => (Number.isInteger(json[key]) ? Number(json[key]) : 0);
  const settings: GroupSettings = {
    stream,
    group,
    filter: json['filter'] === undefined ? undefined : fields(json['filter']),
    startFrom: start < 0 ? 'end' : start,
    resolveLinks: json['resolveLinkTos'] === true,
    extraStatistics: json['extraStatistics'] === true,
    messageTimeoutMs: count('messageTimeout'),
    maxRetryCount: count('maxRetryCount'),
    checkpointAfterMs: count('checkPointAfter'),
    minCheckpointCount: count('minCheckPointCount'),
    maxCheckpointCount: count('maxCheckPointCount'),
    maxSubscriberCount: count('maxSubscriberCount'),
    liveBufferSize: count('liveBufferSize'),
    readBatchSize: count('readBatchSize'),
    historyBufferSize: count('historyBufferSize'),
    strategy,
  };
  if (objectionTo(settings) !== undefined) return undefined;
  return { settings, after: Number.isInteger(json['startAfter']) ? count('startAfter') : start - 1 };
}

const fields = (json: unknown): Readonly<Record<string, unknown>> =>
  typeof json === 'object' && json !== null ? (json as Readonly<Record<string, unknown>>) : {};
