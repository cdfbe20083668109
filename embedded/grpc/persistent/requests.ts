import { UpdateReq, type CreateReq } from '@eventstore/db-client/generated/persistent_pb';
import type { StreamIdentifier } from '@eventstore/db-client/generated/shared_pb';
import { invalidArgument } from '../errors';
import { filterOf } from '../read-request';
import { numberOf, streamNameOf } from '../wire';
import { ALL, STRATEGIES, type GroupSettings, type StartFrom, type Strategy } from './settings';

/** The older way to say where to begin has this number, the greatest of 64 bits, for the end. */
const END_REVISION = '18446744073709551615';
const TICKS_PER_MILLISECOND = 10_000;
const BY_NUMBER: readonly Strategy[] = ['DispatchToSingle', 'RoundRobin', 'Pinned'];

interface Start {
  hasStart(): boolean;
  hasEnd(): boolean;
}

/** @throws CallError */
export function settingsOf(message: CreateReq | UpdateReq): GroupSettings {
  const options = message.getOptions();
  const settings = options?.getSettings();
  if (options === undefined || settings === undefined) throw invalidArgument('The settings are missing.');
  return {
    ...sourceOf(message),
    group: options.getGroupName(),
    resolveLinks: settings.getResolveLinks(),
    extraStatistics: settings.getExtraStatistics(),
    messageTimeoutMs: settings.hasMessageTimeoutTicks()
      ? numberOf(settings.getMessageTimeoutTicks(), 'timeout') / TICKS_PER_MILLISECOND
      : settings.getMessageTimeoutMs(),
    maxRetryCount: settings.getMaxRetryCount(),
    checkpointAfterMs: settings.hasCheckpointAfterTicks()
      ? numberOf(settings.getCheckpointAfterTicks(), 'time') / TICKS_PER_MILLISECOND
      : settings.getCheckpointAfterMs(),
    minCheckpointCount: settings.getMinCheckpointCount(),
    maxCheckpointCount: settings.getMaxCheckpointCount(),
    maxSubscriberCount: settings.getMaxSubscriberCount(),
    liveBufferSize: settings.getLiveBufferSize(),
    readBatchSize: settings.getReadBatchSize(),
    historyBufferSize: settings.getHistoryBufferSize(),
    strategy: strategyOf(message),
  };
}

/** Newer clients name the strategy, older ones number it. */
function strategyOf(message: CreateReq | UpdateReq): Strategy {
  const settings = message.getOptions()?.getSettings();
  const number = settings?.getNamedConsumerStrategy() ?? 0;
  const name =
    settings !== undefined && 'getConsumerStrategy' in settings ? settings.getConsumerStrategy() : '';
  const strategy = name === '' ? BY_NUMBER[number] : STRATEGIES.find((known) => known === name);
  if (strategy === undefined) throw invalidArgument(`Consumer strategy ${name || number} does not exist.`);
  return strategy;
}

function sourceOf(message: CreateReq | UpdateReq): Pick<GroupSettings, 'stream' | 'startFrom' | 'filter'> {
  const options = message.getOptions();
  const all = options?.getAll();
  if (all !== undefined) {
    const position = all.getPosition();
    const startFrom: StartFrom =
      position === undefined ? edgeOf(all) : numberOf(position.getCommitPosition(), 'position');
    const filter = 'getFilter' in all ? filterOf(all.getFilter()).filter : undefined;
    return { stream: ALL, startFrom, filter };
  }
  const stream = options?.getStream();
  if (stream !== undefined) {
    const startFrom = stream.hasRevision() ? numberOf(stream.getRevision(), 'revision') : edgeOf(stream);
    return { stream: groupStreamOf(stream.getStreamIdentifier()), startFrom, filter: undefined };
  }
  const revision = options?.getSettings()?.getRevision() ?? '0';
  const startFrom = revision === END_REVISION ? 'end' : numberOf(revision, 'revision');
  return { stream: groupStreamOf(options?.getStreamIdentifier()), startFrom, filter: undefined };
}

const edgeOf = (start: Start): StartFrom => (start.hasEnd() ? 'end' : 0);

interface Target {
  hasAll(): boolean;
  getStreamIdentifier(): StreamIdentifier | undefined;
}

/** The source of a group that exists. @throws CallError */
export const targetOf = (options: Target): string =>
  options.hasAll() ? ALL : groupStreamOf(options.getStreamIdentifier());

function groupStreamOf(identifier: StreamIdentifier | undefined): string {
  const stream = streamNameOf(identifier);
  if (stream === '') throw invalidArgument('Bad stream name.');
  if (stream === ALL)
    throw invalidArgument('The whole log is asked for as such, not as a stream of this name.');
  return stream;
}
