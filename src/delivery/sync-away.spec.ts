import {
  Author,
  conversationOf,
  DeliveryWorld,
  RecordingConnection,
  userOf,
} from '../../test/support/delivery';
import { CutLog, ReadUpTo } from '../../test/support/cut-log';
import { eventually } from '../../test/support/sdk-device';
import { conversationStream } from '../domain/conversation/streams';
import { shardOfStream } from '../infrastructure/event-log/sharded/placement';
import { ShardedEventLog } from '../infrastructure/event-log/sharded/sharded-event-log';
import { MemoryEventLog } from '../infrastructure/memory/memory-event-log';
import type { ConversationId } from '../kernel/ids';
import { AWAY_DEBTS_MAX, AwayDebts, RESYNC_NAMES_MAX } from './sync-away';

const epoch = (): Promise<string> => Promise.resolve('all of them');

/** Conversations that lie in a shard of three, as many as are asked for. */
function conversationsIn(shard: number, count: number): ConversationId[] {
  const found: ConversationId[] = [];
  for (let n = 0; found.length < count; n++) {
    const id = conversationOf(n);
    if (shardOfStream(conversationStream(id), 3) === shard) found.push(id);
  }
  return found;
}

describe('sync while one of three shards is away', () => {
  let shards: CutLog[];
  let readShards: ReadUpTo[];
  let world: DeliveryWorld;
  let device: RecordingConnection;
  let authors: Author[];
  const ids = [0, 1, 2].map((shard) => conversationsIn(shard, 1)[0] as ConversationId);
  const [here, there, elsewhere] = ids as [ConversationId, ConversationId, ConversationId];

  beforeEach(async () => {
    const stores = [0, 1, 2].map(() => new MemoryEventLog());
    shards = stores.map((store) => new CutLog(store));
    readShards = stores.map((store) => new ReadUpTo(store));
    world = new DeliveryWorld(
      new ShardedEventLog(shards, { epoch }),
      {},
      new ShardedEventLog(readShards, { epoch }),
    );
    await world.feed.start();
    authors = ids.map((id) => new Author(world, id));
    for (const author of authors) await author.start([0, 1]);
    for (const author of authors) await author.say(0);
    await world.settle();
    device = world.connect(userOf(1));
  });
  afterEach(() => world.stop());

  const sync = (data: object = {}) => world.sync.sync(device, data, 's');
  const cursors = (seq: number): Record<string, number> => Object.fromEntries(ids.map((id) => [id, seq]));
  const answeredTo = (id: ConversationId): unknown =>
    typeof device.answered === 'function' ? device.answered(id) : device.answered;
  const resyncs = (): string[] =>
    device.answers.flatMap((frame) => (frame.event === 'resync' ? frame.data.conversationIds : []));

  it('answers for the others, and names what it left out when the shard is back', async () => {
    shards[1]?.cut();
    expect(await sync({ cursors: cursors(0) })).toBeUndefined();
    expect(device.answers.at(-1)?.event).toBe('sync.done');
    expect(device.pages.map(({ conversationId }) => conversationId).sort()).toEqual([here, elsewhere].sort());
    expect(ids.map(answeredTo)).toEqual([true, false, true]);
    expect(world.awayDebts.size).toBe(1);
    shards[1]?.mend();
    await eventually('the word of it', () => resyncs().length > 0);
    expect(resyncs()).toEqual([there]);
    expect(world.awayDebts.size).toBe(0);
    await sync({ cursors: cursors(0) });
    const seen = device.pages.filter(({ conversationId }) => conversationId === there);
    expect(seen.flatMap(({ events }) => events.map(({ data }) => data.seq))).toEqual([1]);
    expect(device.answered).toBe('all');
  });

  it('is silent about what lies there and has not moved', async () => {
    shards[1]?.cut();
    await sync({ cursors: cursors(1) });
    expect(device.pages).toEqual([]);
    expect(device.answered).toBe('all');
    expect(world.awayDebts.size).toBe(0);
  });

  it('counts nothing there as unmoved while the read models lack what was pushed of it', async () => {
    await authors[1]?.say(0, 'pushed, not projected');
    await world.settle();
    const stream = await shards[1]?.readStream(conversationStream(there), { limit: 9 });
    const before = stream?.kind === 'events' ? stream.events[1]?.position.commit : undefined;
    for (const [n, shard] of readShards.entries()) if (n === 1) shard.upTo = before;
    shards[1]?.cut();
    await expect(authors[1]?.say(0, 'nobody takes it')).resolves.toMatchObject({ kind: 'unavailable' });
    await sync({ cursors: { ...cursors(1), [here]: 0 } });
    expect(device.answers.at(-1)?.event).toBe('sync.done');
    expect(ids.map(answeredTo)).toEqual([true, false, true]);
    // From the read models, which the others did not have to do without.
    expect(device.pages.map(({ summary }) => summary?.id)).toEqual([here]);
    for (const shard of readShards) shard.upTo = undefined;
    shards[1]?.mend();
    await eventually('the word of it', () => resyncs().includes(there));
    await sync({ cursors: cursors(1) });
    const seen = device.pages.filter(({ conversationId }) => conversationId === there);
    expect(seen.flatMap(({ events }) => events.map(({ data }) => data.seq))).toEqual([2]);
  });

  it('leaves it out of an answer from the log alone, too', async () => {
    world.inbox.mode = 'down';
    shards[1]?.cut();
    expect(await sync({ cursors: cursors(0) })).toBeUndefined();
    expect(device.pages.map(({ conversationId }) => conversationId).sort()).toEqual([here, elsewhere].sort());
    expect(ids.map(answeredTo)).toEqual([true, false, true]);
    shards[1]?.mend();
    await eventually('the word of it', () => resyncs().includes(there));
  });

  it('does not ask a shard that it knows to be away', async () => {
    shards[1]?.cut();
    await sync({ cursors: cursors(0) });
    const asked = shards[1]?.reads.length;
    await sync({ cursors: cursors(0) });
    expect(shards[1]?.reads.length).toBe(asked);
  });
});

describe('what devices are owed of shards', () => {
  const connections = (count: number): RecordingConnection[] =>
    Array.from({ length: count }, (_, n) => new RecordingConnection(userOf(n)));
  const isThere = { has: () => true } as never;

  it('is kept for so many connections, and no more', () => {
    const debts = new AwayDebts(isThere, { head: () => new Promise(() => undefined) } as never);
    const leftOut = new Map([[1, new Set([conversationOf(1)])]]);
    for (const connection of connections(AWAY_DEBTS_MAX + 1)) debts.owe(connection, leftOut);
    expect(debts.size).toBe(AWAY_DEBTS_MAX);
    debts.stop();
    expect(debts.size).toBe(0);
  });

  it('is named in pieces, and asked of each shard once a round', async () => {
    let asked = 0;
    const head = (): Promise<undefined> => {
      asked++;
      return Promise.resolve(undefined);
    };
    const debts = new AwayDebts(isThere, { head } as never);
    const ids = Array.from({ length: RESYNC_NAMES_MAX + 1 }, (_, n) => conversationOf(n));
    const some = connections(5);
    for (const connection of some) debts.owe(connection, new Map([[1, new Set(ids)]]));
    await eventually('all paid', () => debts.size === 0);
    expect(asked).toBe(1);
    for (const { answers } of some) {
      const named = answers.map((frame) =>
        frame.event === 'resync' ? frame.data.conversationIds.length : 0,
      );
      expect(named).toEqual([RESYNC_NAMES_MAX, 1]);
    }
    debts.stop();
  });

  it('is forgotten with the connection, and replaced by its next answer', async () => {
    const gone = { has: () => false } as never;
    const debts = new AwayDebts(gone, { head: () => Promise.resolve(undefined) } as never);
    const [connection] = connections(1) as [RecordingConnection];
    debts.owe(connection, new Map([[1, new Set([conversationOf(1)])]]));
    debts.owe(connection, new Map());
    expect(debts.size).toBe(0);
    debts.owe(connection, new Map([[1, new Set([conversationOf(1)])]]));
    await eventually('nothing owed', () => debts.size === 0);
    expect(connection.answers).toEqual([]);
    debts.stop();
  });
});
