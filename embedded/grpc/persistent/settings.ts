import type { EventFilter } from '../../engine/filter';

/** How a group divides its messages among its consumers. */
export const STRATEGIES = ['RoundRobin', 'DispatchToSingle', 'Pinned', 'PinnedByCorrelation'] as const;
export type Strategy = (typeof STRATEGIES)[number];

/** Revision in a stream or position in the log of an event that was taken last; -1: before the first. */
export type Place = number;

/** Name of the source that is the whole log. */
export const ALL = '$all';

/** Where a group without a checkpoint begins: with this very event, or with what comes after its making. */
export type StartFrom = number | 'end';

export interface GroupSettings {
  readonly stream: string;
  readonly group: string;
  /** Of the whole log only. */
  readonly filter: EventFilter | undefined;
  readonly startFrom: StartFrom;
  readonly resolveLinks: boolean;
  readonly extraStatistics: boolean;
  /** 0: never. */
  readonly messageTimeoutMs: number;
  readonly maxRetryCount: number;
  /** 0: only by number. */
  readonly checkpointAfterMs: number;
  readonly minCheckpointCount: number;
  readonly maxCheckpointCount: number;
  /** 0: as many as come. */
  readonly maxSubscriberCount: number;
  readonly liveBufferSize: number;
  readonly readBatchSize: number;
  readonly historyBufferSize: number;
  readonly strategy: Strategy;
}

export const groupKey = (stream: string, group: string): string => `${stream}::${group}`;
export const checkpointStreamOf = (key: string): string => `$persistentsubscription-${key}-checkpoint`;
export const parkedStreamOf = (key: string): string => `$persistentsubscription-${key}-parked`;

const OWN_PREFIX = `$persistentsubscription-${ALL}::`;

/**
 * Groups of the whole log do not get what such groups write: a group that parks or checkpoints what it wrote
 * itself
 * would go on for ever.
 */
export const isOwnBookkeeping = (stream: string): boolean =>
  stream.startsWith(OWN_PREFIX) && (stream.endsWith('-checkpoint') || stream.endsWith('-parked'));

/** A place as EventStoreDB writes it into checkpoints and shows it. */
export const placeText = (stream: string, place: Place): string =>
  stream === ALL ? `C:${place}/P:${place}` : String(place);

/** @returns undefined: the text is no place */
export function placeOf(stream: string, text: unknown): Place | undefined {
  const pattern = stream === ALL ? /^C:(-?\d{1,16})\/P:-?\d{1,16}$/ : /^(-?\d{1,16})$/;
  const digits = pattern.exec(typeof text === 'number' ? String(text) : typeof text === 'string' ? text : '');
  return digits?.[1] === undefined ? undefined : Number(digits[1]);
}

/** `-1` stands for the end. */
export const startText = ({ stream, startFrom }: GroupSettings): string =>
  placeText(stream, startFrom === 'end' ? -1 : startFrom);

/** @returns why a group cannot be so; undefined: it can */
export function objectionTo(settings: GroupSettings): string | undefined {
  const { readBatchSize, historyBufferSize, liveBufferSize } = settings;
  if (settings.group === '') return 'A group has a name.';
  const counts: readonly [string, number, number][] = [
    ['Message timeout', settings.messageTimeoutMs, 0],
    ['Max retry count', settings.maxRetryCount, 0],
    ['Checkpoint after', settings.checkpointAfterMs, 0],
    ['Min checkpoint count', settings.minCheckpointCount, 0],
    ['Max checkpoint count', settings.maxCheckpointCount, 1],
    ['Max subscriber count', settings.maxSubscriberCount, 0],
    ['Live buffer size', liveBufferSize, 1],
    ['Read batch size', readBatchSize, 1],
    ['History buffer size', historyBufferSize, 1],
  ];
  for (const [name, value, least] of counts) if (value < least) return `${name} is at least ${least}.`;
  if (readBatchSize >= historyBufferSize) {
    return 'Read batch size may not be greater than or equal to history buffer size.';
  }
  return undefined;
}
