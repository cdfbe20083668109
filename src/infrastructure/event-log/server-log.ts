import { setTimeout as sleep } from 'node:timers/promises';
import { EventLogUnavailable, type EventLog } from '../../application/ports/event-log';
import { EsdbEventLog } from './esdb/esdb-event-log';
import {
  checkAlone,
  openArrangement,
  OtherShards,
  type ArrangedStores,
  type NamedStore,
} from './sharded/arrangement';
import { LateLog } from './sharded/late-log';
import { openPart, type PartOfShards } from './sharded/late-shards';
import { ShardedEventLog, type ShardedOptions } from './sharded/sharded-event-log';

/** A start waits so long for the servers of a list to say who they are, when none of them has; then it fails. */
const SERVERS_WAIT_MS_MAX = 60_000;
/** A start waits so long for all of them; then it goes on with those that have. */
const ALL_SERVERS_WAIT_MS_MAX = 2_000;
/** A start waits so long for a server that is alone; then it is asked in the background until it answers. */
const ALONE_WAIT_MS_MAX = 2_000;
const RETRY_MS = 1_000;

interface Servers {
  /** Connection strings, one a server or cluster. */
  readonly urls: readonly string[];
  /** See EsdbOptions. */
  readonly streamPrefix?: string;
}

export interface ServerLog {
  readonly log: EventLog;
  /** For people: where the servers are, in the order of the shards; those that are away come last, and say so. */
  readonly places: readonly string[];
  readonly close: () => Promise<void>;
}

/** What a log on servers tells while it is open, and asks. */
export interface ServerLogEvents extends Pick<ShardedOptions, 'onAway' | 'onBack' | 'readModels'> {
  /**
   * A server that was away at the start has come, and is not the one it should be. It is not used; whoever started this
   * log is to end, as they would have been refused at the start.
   */
  readonly onOthers: (error: OtherShards) => void;
  /** See LateArrival. */
  readonly isKnown?: (numbering: string) => Promise<boolean>;
}

/** Host and port, never the password or the options. */
const placeOf = (url: string): string => url.replace(/^[^/]*\/\/([^@/]*@)?/, '').replace(/[/?].*$/s, '');

const connect = ({ urls, streamPrefix }: Servers): readonly EsdbEventLog[] =>
  urls.map(
    (connectionString) =>
      new EsdbEventLog({ connectionString, ...(streamPrefix === undefined ? {} : { streamPrefix }) }),
  );

const closeAll = async (logs: readonly EsdbEventLog[]): Promise<void> => {
  await Promise.all(logs.map((log) => log.close()));
};

/**
 * The log on one server or on several, among which its conversations are spread then. It opens without those that are
 * away, as long as one of several is there; they take their place when they come.
 *
 * @throws OtherShards when the servers are not those of one log
 * @throws EventLogUnavailable when none of several can be reached for SERVERS_WAIT_MS_MAX, or a list that is new cannot
 *   be told to all of them
 */
export async function openServerLog(servers: Servers, events: ServerLogEvents): Promise<ServerLog> {
  const logs = connect(servers);
  const ending = new AbortController();
  const close = async (): Promise<void> => {
    ending.abort();
    await closeAll(logs);
  };
  const named = logs.map((log, n) => ({ log, place: placeOf(servers.urls[n] as string) }));
  try {
    const [alone] = named;
    const opened =
      alone !== undefined && named.length === 1
        ? { log: await openAlone(alone, events, ending.signal), places: [alone.place] }
        : await openShards(named, events, ending.signal);
    return { ...opened, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openShards(
  stores: readonly NamedStore[],
  events: ServerLogEvents,
  signal: AbortSignal,
): Promise<Pick<ServerLog, 'log' | 'places'>> {
  const opened = await shardsOf(stores, { ...events, signal });
  if ('stores' in opened) {
    const { epoch } = opened;
    const logs = opened.stores.map((store) => store.log);
    return {
      log: new ShardedEventLog(logs, { ...events, epoch: () => Promise.resolve(epoch) }),
      places: opened.stores.map(({ place }) => place),
    };
  }
  const { logs, epoch, away } = opened;
  const places = logs.flatMap((log) => stores.find((store) => store.log === log)?.place ?? []);
  return {
    log: new ShardedEventLog(logs, { ...events, epoch }),
    places: [...places, ...away.map((place) => `${place} (away)`)],
  };
}

/** All of them, or after a while those that are there. */
async function shardsOf(
  stores: readonly NamedStore[],
  late: Parameters<typeof openPart>[1],
): Promise<ArrangedStores | PartOfShards> {
  const startedAt = performance.now();
  for (;;) {
    try {
      return await openArrangement(stores);
    } catch (error) {
      const waitedMs = performance.now() - startedAt;
      if (!(error instanceof EventLogUnavailable) || waitedMs > SERVERS_WAIT_MS_MAX) throw error;
      const part = waitedMs > ALL_SERVERS_WAIT_MS_MAX ? await openPart(stores, late) : undefined;
      if (part !== undefined) return part;
    }
    await sleep(RETRY_MS);
  }
}

/** A server that does not answer is away until it has said that it is no shard of several. */
async function openAlone(
  store: NamedStore,
  { onOthers }: ServerLogEvents,
  signal: AbortSignal,
): Promise<EventLog> {
  const late = new LateLog();
  const checking = checkUntilAnswered(store, signal);
  const isChecked = await Promise.race([
    checking.then(() => true),
    sleep(ALONE_WAIT_MS_MAX, false, { ref: false }),
  ]);
  if (isChecked) return store.log;
  checking.then(
    () => {
      late.arrive(store.log);
    },
    (error: unknown) => {
      if (error instanceof OtherShards) onOthers(error);
      else throw error;
    },
  );
  return late;
}

/** @throws OtherShards when the server is one of several */
async function checkUntilAnswered(store: NamedStore, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await checkAlone(store);
      return;
    } catch (error) {
      if (!(error instanceof EventLogUnavailable)) throw error;
      await sleep(RETRY_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }
}
