import { setTimeout as sleep } from 'node:timers/promises';
import { EventLogUnavailable, type EventLog } from '../../application/ports/event-log';
import { EsdbEventLog } from './esdb/esdb-event-log';
import { checkAlone, openArrangement, type ArrangedStores, type NamedStore } from './sharded/arrangement';
import type { OnAway } from './sharded/merged-subscription';
import { ShardedEventLog } from './sharded/sharded-event-log';

/** A start waits so long for the servers of a list, all of which must say who they are; then it fails. */
const SERVERS_WAIT_MS_MAX = 60_000;
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
  /** For people: where the servers are, in the order of the shards. */
  readonly places: readonly string[];
  /** The same servers in the order of the shards. */
  readonly urls: readonly string[];
  readonly close: () => Promise<void>;
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

/** The log of servers that have been held against their arrangement already, in its order; for following only. */
export function followServers(servers: Servers): Pick<ServerLog, 'log' | 'close'> {
  const logs = connect(servers);
  const [first] = logs as readonly [EsdbEventLog];
  const epoch = (): Promise<string> => first.epoch();
  return {
    log: logs.length === 1 ? first : new ShardedEventLog(logs, { epoch }),
    close: () => closeAll(logs),
  };
}

/**
 * The log on one server or on several, among which its conversations are spread then.
 *
 * @param onAway told when a shard's subscription breaks while others go on
 * @throws OtherShards when the servers are not those of one log
 * @throws EventLogUnavailable when one of several cannot be reached for SERVERS_WAIT_MS_MAX
 */
export async function openServerLog(servers: Servers, onAway: OnAway): Promise<ServerLog> {
  const logs = connect(servers);
  try {
    if (logs.length === 1) return await openAlone(servers, logs[0] as EsdbEventLog);
    const named = logs.map((log, n) => ({ log, place: placeOf(servers.urls[n] as string) }));
    const { stores, epoch } = await arrangementOf(named);
    const urls = stores.map(
      (store) => servers.urls[named.indexOf(store as (typeof named)[number])] as string,
    );
    const log = new ShardedEventLog(
      stores.map((store) => store.log),
      { epoch: () => Promise.resolve(epoch), onAway },
    );
    return { log, places: stores.map(({ place }) => place), urls, close: () => closeAll(logs) };
  } catch (error) {
    await closeAll(logs);
    throw error;
  }
}

async function arrangementOf(stores: readonly NamedStore[]): Promise<ArrangedStores> {
  const end = performance.now() + SERVERS_WAIT_MS_MAX;
  for (;;) {
    try {
      return await openArrangement(stores);
    } catch (error) {
      if (!(error instanceof EventLogUnavailable) || performance.now() > end) throw error;
    }
    await sleep(RETRY_MS);
  }
}

async function openAlone({ urls }: Servers, log: EsdbEventLog): Promise<ServerLog> {
  const [url] = urls as readonly [string];
  const ending = new AbortController();
  const place = placeOf(url);
  const checking = checkUntilAnswered({ place, log }, ending.signal);
  await Promise.race([checking, sleep(ALONE_WAIT_MS_MAX, undefined, { ref: false })]);
  const close = (): Promise<void> => {
    ending.abort();
    return log.close();
  };
  return { log, places: [place], urls, close };
}

/** Rejects, and so ends the process, when a server that was away at the start turns out to be one of several. */
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
