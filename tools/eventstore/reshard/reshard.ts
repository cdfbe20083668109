import {
  CONVERSATION_STREAM_PREFIX,
  conversationOfSnapshot,
  conversationOfStream,
} from '../../../src/domain/conversation/streams';
import { EsdbEventLog } from '../../../src/infrastructure/event-log/esdb/esdb-event-log';
import {
  arrange,
  arrangementsOf,
  identityOf,
  OtherShards,
  writeArrangement,
  type Arrangement,
} from '../../../src/infrastructure/event-log/sharded/arrangement';
import { shardOfStream } from '../../../src/infrastructure/event-log/sharded/placement';
import { hasPassed, POSITION_START, type Position } from '../../../src/kernel/position';
import { baseOf } from '../copy/copied-event';
import { copyAndVerify } from '../copy/run-copy';
import { ServerSide } from '../copy/server-side';
import { PartOfStore } from './part';

const CONVERSATIONS = { streamPrefixes: [CONVERSATION_STREAM_PREFIX] };

export interface Reshard {
  /** Connection strings of the stores that hold the conversations now, in any order. */
  readonly from: readonly string[];
  /** All of those, and the new ones. */
  readonly to: readonly string[];
  readonly streamPrefix: string | undefined;
}

interface Store {
  readonly url: string;
  readonly log: EsdbEventLog;
  readonly side: ServerSide;
  readonly epoch: string;
  /** What it has been told of lists that it was in, the last one last. */
  readonly told: readonly Arrangement[];
}

interface Old {
  /** In the order of the shards. */
  readonly stores: readonly Store[];
  /** Identity of the list; undefined: there is one store, and it was never in any. */
  readonly list: string | undefined;
  /** Of the whole log. */
  readonly epoch: string;
}

/**
 * Spreads the conversations of one or several stores over more: copies the streams whose place changes to the new stores,
 * with their revisions, holds both sides against each other, and only then tells all stores of the new list. What was
 * moved stays where it was as well, and is not shown any more. Safe to repeat, and to kill.
 *
 * @returns whether the stores hold now what they are to hold
 * @throws OtherShards when the lists are not of one log, or a node still writes
 */
export async function reshard(request: Reshard, say: (line: string) => void): Promise<boolean> {
  const open: Store[] = [];
  try {
    for (const url of request.to) open.push(await openStore(url, request.streamPrefix));
    return await new Resharding(open, request, say).run();
  } finally {
    for (const { log, side } of open) {
      await log.close();
      await side.close();
    }
  }
}

async function openStore(url: string, streamPrefix: string | undefined): Promise<Store> {
  const prefix = streamPrefix === undefined ? {} : { streamPrefix };
  const log = new EsdbEventLog({ connectionString: url, ...prefix });
  const side = new ServerSide(url);
  try {
    return { url, log, side, epoch: await log.epoch(), told: await arrangementsOf(log) };
  } catch (error) {
    await log.close();
    await side.close();
    throw error;
  }
}

class Resharding {
  constructor(
    private readonly open: readonly Store[],
    private readonly request: Reshard,
    private readonly say: (line: string) => void,
  ) {}

  async run(): Promise<boolean> {
    const old = this.old();
    const added = this.open.filter((store) => !old.stores.includes(store));
    if (added.length === 0) throw new OtherShards('--to names no store that is not among those of today');
    const stores = [...old.stores, ...added];
    const next = arrange(
      stores.map(({ epoch }) => epoch),
      old.epoch,
    );
    this.refuseOtherList(old, next);
    await this.refuseStrangers(added, old, next);
    const before = await this.heads(old.stores);
    for (const [shard, target] of added.entries()) {
      for (const [n, source] of old.stores.entries()) {
        const from = { store: source, shard: n };
        const to = { store: target, shard: old.stores.length + shard };
        if (!(await this.move(from, to, { old: old.stores.length, next: stores.length }))) return false;
      }
    }
    await this.refuseWriters(old.stores, before);
    // The new ones first: whoever finds the old ones told finds all told, and a run that was cut off finds the old list.
    for (const store of stores.toReversed()) {
      await writeArrangement(store.log, next[stores.indexOf(store)] as Arrangement);
    }
    this.say(`${stores.length} stores hold the log now: ${stores.map(({ side }) => side.place).join(', ')}`);
    return true;
  }

  /** The stores of today, as the last list of so many has told them. */
  private old(): Old {
    const { from } = this.request;
    const stores = this.open.filter(({ url }) => from.includes(url));
    if (stores.length < new Set(from).size)
      throw new OtherShards('--to must name all stores of today as well, exactly as they are named today');
    const [only] = stores;
    if (stores.length === 1 && only !== undefined) return { stores, list: undefined, epoch: only.epoch };
    const told = stores.flatMap((store) => {
      const list = store.told.findLast(({ shards }) => shards === stores.length);
      return list === undefined ? [] : [{ store, list }];
    });
    const [first] = told;
    const places = new Set(
      told.filter(({ list }) => list.id === first?.list.id).map(({ list }) => list.shard),
    );
    if (first === undefined || places.size < stores.length)
      throw new OtherShards('the stores of today are not the shards of one log: has it been spread at all?');
    const inOrder = told.toSorted((a, b) => a.list.shard - b.list.shard).map(({ store }) => store);
    const epochs = inOrder.map(({ epoch }) => epoch);
    return { stores: inOrder, list: first.list.id, epoch: identityOf(first.list, epochs) };
  }

  /** What a store was told last is the list of today, or, after a run that was cut off, the one that is to come. */
  private refuseOtherList(old: Old, next: readonly Arrangement[]): void {
    for (const { side, told } of old.stores) {
      const last = told.at(-1);
      if (last?.id === old.list || last?.id === next[0]?.id) continue;
      const what = last === undefined ? 'in no list' : `shard ${last.shard + 1} of ${last.shards}`;
      throw new OtherShards(`${side.place} is ${what}: EVENTSTORE_URL must name exactly the stores of today`);
    }
  }

  /** A new store holds nothing, or what an earlier run has brought there; the copy looks at more of it. */
  private async refuseStrangers(
    added: readonly Store[],
    old: Old,
    next: readonly Arrangement[],
  ): Promise<void> {
    for (const { log, side, told } of added) {
      if (told.length > 0 && told.at(-1)?.id !== next[0]?.id)
        throw new OtherShards(`${side.place} is a shard of another log`);
      const [first] = (await log.readAll({ limit: 1, filter: CONVERSATIONS })).events;
      if (first === undefined) continue;
      const source = old.stores[shardOfStream(first.stream, old.stores.length)]?.log;
      const read = await source?.readStream(first.stream, { limit: 1 });
      const isCopy = read?.kind === 'events' && read.events[0]?.id === first.id;
      if (!isCopy) throw new OtherShards(`${side.place} holds conversations of its own: take an empty store`);
    }
  }

  private async move(
    from: { readonly store: Store; readonly shard: number },
    to: { readonly store: Store; readonly shard: number },
    counts: { readonly old: number; readonly next: number },
  ): Promise<boolean> {
    const moves = (onServer: string): boolean => {
      const stream = this.nameOf(baseOf(onServer));
      return (
        stream !== undefined &&
        shardOfStream(stream, counts.old) === from.shard &&
        shardOfStream(stream, counts.next) === to.shard
      );
    };
    const source = new PartOfStore(from.store.side, moves);
    return copyAndVerify(source, new PartOfStore(to.store.side, moves), this.say);
  }

  /** undefined: no stream of this log, or none that lies by its name (the list of shards itself). */
  private nameOf(onServer: string): string | undefined {
    const prefix = this.request.streamPrefix === undefined ? '' : `${this.request.streamPrefix}.`;
    if (!onServer.startsWith(prefix)) return undefined;
    const stream = onServer.slice(prefix.length);
    return (conversationOfStream(stream) ?? conversationOfSnapshot(stream)) === undefined
      ? undefined
      : stream;
  }

  private heads(stores: readonly Store[]): Promise<readonly Position[]> {
    return Promise.all(stores.map(({ log }) => log.headOf(CONVERSATIONS)));
  }

  /** What a node writes while conversations move would be left behind. */
  private async refuseWriters(stores: readonly Store[], before: readonly Position[]): Promise<void> {
    const now = await this.heads(stores);
    const isStill = now.every((head, n) => hasPassed(before[n] ?? POSITION_START, head));
    if (isStill) return;
    throw new OtherShards(
      'a node has written meanwhile: stop all nodes, then run this again; nothing was changed',
    );
  }
}
