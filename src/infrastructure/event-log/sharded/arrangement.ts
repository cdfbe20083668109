import type { EventLog, LogEvent } from '../../../application/ports/event-log';
import { CONVERSATION_STREAM_PREFIX } from '../../../domain/conversation/streams';
import { asEventId } from '../../../kernel/ids';
import { hasPassed, POSITION_START } from '../../../kernel/position';
import { uuidv5 } from '../../../kernel/uuid';

/** In every shard; the last event says which one it is, of how many. No stream of ours is named so. */
export const ARRANGEMENT_STREAM = 'parley-shards';
/** Older lists than so many are forgotten. */
const LISTS_MAX = 100;
const NAMESPACE = '2f0c5f6e-3f5c-5d0b-8d0a-6a1f1f5f7c11';

/** What a store knows of the list that it is in. */
export interface Arrangement {
  /** Identity of the list of stores; the same in all of them, whatever their addresses are. */
  readonly id: string;
  /** Identity of the log to devices, for as long as each store has the epoch that it had then. */
  readonly epoch: string;
  readonly storeEpochs: readonly string[];
  /** Counted from 0. */
  readonly shard: number;
  readonly shards: number;
}

/** A store that a configuration names. */
export interface NamedStore {
  /** For people: host and port. */
  readonly place: string;
  readonly log: EventLog;
}

/** The stores that were named are not the ones among which the conversations are spread. */
export class OtherShards extends Error {
  override readonly name = 'OtherShards';
}

/** For people: what to do about a list that is not the one. */
export const RESHARD =
  '`npm run eventstore -- reshard` moves conversations between stores (docs/operations.md)';

/** The lists that the store was told it is in, the last one last. @throws EventLogUnavailable */
export async function arrangementsOf(log: EventLog): Promise<readonly Arrangement[]> {
  const read = await log.readStream(ARRANGEMENT_STREAM, { direction: 'backwards', limit: LISTS_MAX });
  return read.kind === 'events' ? read.events.map(arrangementOf).toReversed() : [];
}

/** undefined: the store is not one of several. @throws EventLogUnavailable */
export const readArrangement = async (log: EventLog): Promise<Arrangement | undefined> =>
  (await arrangementsOf(log)).at(-1);

const arrangementOf = ({ data }: LogEvent): Arrangement => data as Arrangement;

/** The arrangement of these stores, in this order, of a log that has had this identity before, or begins. */
export function arrange(storeEpochs: readonly string[], epoch?: string): readonly Arrangement[] {
  const id = uuidv5(`${epoch ?? 'new'}/${storeEpochs.join('/')}`, NAMESPACE);
  return storeEpochs.map((_, shard) => ({
    ...{ id, epoch: epoch ?? id, storeEpochs, shard, shards: storeEpochs.length },
  }));
}

/** Safe to repeat: the same arrangement is not written a second time. @throws EventLogUnavailable */
export async function writeArrangement(log: EventLog, arrangement: Arrangement): Promise<void> {
  const known = await readArrangement(log);
  if (known?.id === arrangement.id && known.shard === arrangement.shard) return;
  const id = asEventId(uuidv5(`${arrangement.id}/${arrangement.shard}`, NAMESPACE));
  const event = { id, type: 'ShardsArranged', data: arrangement, metadata: {} };
  await log.append(ARRANGEMENT_STREAM, [event], { expected: 'any' });
}

/** @throws OtherShards when the store, named alone, is one of several. @throws EventLogUnavailable */
export async function checkAlone({ place, log }: NamedStore): Promise<void> {
  const known = await readArrangement(log);
  if (known === undefined || known.shards === 1) return;
  throw new OtherShards(
    `${place} is shard ${known.shard + 1} of ${known.shards}: EVENTSTORE_URL must name all of them; ${RESHARD}`,
  );
}

export interface ArrangedStores {
  /** In the order of the arrangement, which need not be the list's. */
  readonly stores: readonly NamedStore[];
  /** Identity of the whole log to devices; another one when any store has begun another epoch. */
  readonly epoch: string;
}

/**
 * The stores of a list of several, after they have been held against what they know of each other. New ones are told.
 *
 * @throws OtherShards when they are not the ones among which the conversations are spread
 * @throws EventLogUnavailable while one of them is away
 */
export async function openArrangement(stores: readonly NamedStore[]): Promise<ArrangedStores> {
  const known = await Promise.all(stores.map(({ log }) => readArrangement(log)));
  const epochs = await Promise.all(stores.map(({ log }) => log.epoch()));
  if (new Set(epochs).size < stores.length)
    throw new OtherShards('EVENTSTORE_URL names the same event store more than once');
  if (known.some((one) => one === undefined || one.shards === 1)) {
    await beginArrangement(stores, known, epochs);
    return openArrangement(stores);
  }
  const arrangements = known as readonly Arrangement[];
  refuseOthers(stores, arrangements);
  const order = arrangements.map(({ shard }, n) => ({ shard, n })).toSorted((a, b) => a.shard - b.shard);
  const [first] = arrangements as readonly [Arrangement];
  const now = order.map(({ n }) => epochs[n] as string);
  return { stores: order.map(({ n }) => stores[n] as NamedStore), epoch: identityOf(first, now) };
}

/** Of the whole log to devices, whose stores have these epochs now, in the order of the shards. */
export const identityOf = ({ epoch, storeEpochs }: Arrangement, now: readonly string[]): string =>
  storeEpochs.every((one, shard) => one === now[shard])
    ? epoch
    : uuidv5(`${epoch}/${now.join('/')}`, NAMESPACE);

/** Stores without conversations become shards in the order of the list; a start that was cut off is finished. */
async function beginArrangement(
  stores: readonly NamedStore[],
  known: readonly (Arrangement | undefined)[],
  epochs: readonly string[],
): Promise<void> {
  const fresh = arrange(epochs);
  for (const [n, { place, log }] of stores.entries()) {
    const one = known[n];
    if (one?.id === fresh[n]?.id && one?.shard === n) continue;
    const head = await log.headOf({ streamPrefixes: [CONVERSATION_STREAM_PREFIX] });
    if (one === undefined && hasPassed(POSITION_START, head)) continue;
    const what =
      one === undefined || one.shards === 1
        ? 'holds conversations that are not spread over them'
        : `is shard ${one.shard + 1} of ${one.shards} of another list`;
    throw new OtherShards(
      `EVENTSTORE_URL names ${stores.length} stores that are not the shards of one log: ${place} ${what}; ${RESHARD}`,
    );
  }
  for (const [n, { log }] of stores.entries()) await writeArrangement(log, fresh[n] as Arrangement);
}

/**
 * @param known of each of the stores
 * @param count how many stores the list names, of which some may be away
 * @throws OtherShards when the stores are not different shards of one log of so many
 */
export function refuseOthers(
  stores: readonly NamedStore[],
  known: readonly Arrangement[],
  count = stores.length,
): void {
  const [first] = known;
  const shards = new Set(known.map(({ shard }) => shard));
  const fits =
    known.every((one) => one.id === first?.id && one.shards === count) && shards.size === stores.length;
  if (fits) return;
  const told = stores.map(({ place }, n) => {
    const one = known[n] as Arrangement;
    return `${place} is shard ${one.shard + 1} of ${one.shards} of list ${one.id.slice(0, 8)}`;
  });
  throw new OtherShards(
    `EVENTSTORE_URL must name exactly the shards of one log, and names others: ${told.join(', ')}; ${RESHARD}`,
  );
}
