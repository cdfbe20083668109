import { randomUUID } from 'node:crypto';
import { verifyReadModels } from '../../projections/verify';
import { conversationStream } from '../../src/domain/conversation/streams';
import { openServerLog } from '../../src/infrastructure/event-log/server-log';
import { OtherShards } from '../../src/infrastructure/event-log/sharded/arrangement';
import { shardOfStream } from '../../src/infrastructure/event-log/sharded/placement';
import { asConversationId } from '../../src/kernel/ids';
import { reshard } from '../../tools/eventstore/reshard/reshard';
import { chainCheck } from '../../tools/verify/chain-check';
import { EventStoreProcess } from '../support/event-store-process';
import { RawDevice, type Frame } from '../support/raw-device';
import { connectedDevice, eventually, signUp, type SdkDevice } from '../support/sdk-device';
import { createTestDatabase, type TestDatabase } from '../support/postgres';
import { startTestNode, type TestNode } from '../support/test-node';
import { verifyAction } from '../support/verify-action';

const isAbout = (data: Frame['data'], id: string): boolean =>
  (data['conversationIds'] as readonly string[]).includes(id);

/** Two of our own doors as processes of their own, and a whole node whose conversations are spread over them. */
describe('a node on two shards', () => {
  let shards: [EventStoreProcess, EventStoreProcess];
  let database: TestDatabase;
  let node: TestNode;
  let ann: SdkDevice;
  let bob: SdkDevice;
  const added: EventStoreProcess[] = [];
  /** A conversation of the two in each shard. */
  let rooms: [string, string];

  beforeAll(async () => {
    shards = await Promise.all([EventStoreProcess.start(), EventStoreProcess.start()]);
    database = await createTestDatabase();
    await start(shards);
    const [one, other] = await Promise.all([signUp(node.url, 'ann'), signUp(node.url, 'bob')]);
    [ann, bob] = [
      await connectedDevice(node.url, one, 'phone'),
      await connectedDevice(node.url, other, 'tablet'),
    ];
    const found: string[] = [];
    while (found[0] === undefined || found[1] === undefined) {
      const { id } = await one.createConversation({ kind: 'group', title: 'tea', memberIds: [bob.userId] });
      found[shardOf(id)] ??= id;
    }
    rooms = [found[0], found[1]];
    await eventually('the rooms', () => rooms.every((id) => bob.client.conversations.get(id) !== undefined));
  });
  afterAll(async () => {
    await Promise.all([ann, bob].map(({ client }) => client.close()));
    await node.stop();
    await database.drop();
    await Promise.all([...shards, ...added].map((shard) => shard.destroy()));
  });

  /** Whole, on these stores; again on the port that devices know. */
  const start = async (stores: readonly EventStoreProcess[], known?: TestNode): Promise<void> => {
    node = await startTestNode({
      eventStoreUrls: stores.map(({ url }) => url),
      ...{ eventStoreStreamPrefix: undefined, rateLimits: false, databaseUrl: database.url },
      ...(known === undefined ? {} : { port: Number(new URL(known.url).port), jwtSecret: known.jwtSecret }),
    });
  };
  const shardOf = (id: string): number => shardOfStream(conversationStream(asConversationId(id)), 2);
  const say = (device: SdkDevice, id: string, body: string) =>
    device.client.send({ conversationId: id }, body).acked;
  const openLog = () =>
    openServerLog({ urls: [...shards, ...added].map(({ url }) => url) }, { onOthers: () => undefined });
  /** Folds both shards and compares with the tables; also each conversation's chain. */
  const verify = async (): Promise<void> => {
    const { log, close } = await openLog();
    try {
      const tables = database.database;
      const verified = await verifyReadModels({ eventLog: log, database: tables, streamCheck: chainCheck });
      expect(verified.differences).toEqual([]);
      expect(verified.conversations).toBeGreaterThanOrEqual(2);
    } finally {
      await close();
    }
  };
  const settled = (): Promise<void> =>
    eventually('read models that have it all', async () => {
      const answer = await fetch(`${node.url}/health/ready`);
      return answer.ok;
    }).then(() => undefined);

  it('tells where its shards are', () => {
    expect(node.running.places.eventStore).toBe(shards.map(({ port }) => `127.0.0.1:${port}`).join(', '));
  });

  it('sends, delivers, reads, counts and syncs in both, as in one', async () => {
    await verifyAction(node.url, [ann, bob], async () => {
      for (let n = 0; n < 10; n++) {
        await Promise.all(rooms.map((id) => say(ann, id, `word ${n}`)));
      }
    });
    for (const id of rooms) {
      await eventually('ten unread', () => bob.client.conversations.get(id)?.unread === 10);
    }
    await verifyAction(node.url, [ann, bob], async () => {
      for (const id of rooms) {
        const head = bob.client.conversations.get(id)?.headSeq ?? 0;
        bob.client.read(id, head);
        await eventually('nothing unread', () => bob.client.conversations.get(id)?.unread === 0);
      }
    });
    await settled();
    await verify();
  });

  it('gives a device that was away what it missed in both', async () => {
    bob.line.cut();
    await Promise.all(rooms.flatMap((id) => [say(ann, id, 'you are away'), say(ann, id, 'still')]));
    bob.line.mend();
    await verifyAction(node.url, [ann, bob], () => say(ann, rooms[1], 'back'));
  });

  it('goes on in one shard while the other is killed, refuses the other as retryable, and recovers by itself', async () => {
    const raw = await RawDevice.signIn(node.url, ann.token, { inspect: node.inspectFrame });
    const send = (conversationId: string, body: string) =>
      raw.request('message.send', {
        ...{ conversationId, clientMessageId: randomUUID(), content: { type: 'text', body } },
      });
    expect(await shards[1].end('SIGKILL')).toBe('SIGKILL');
    const waiting = say(bob, rooms[1], 'said while it was down');
    for (let n = 0; n < 5; n++) {
      const ack = await send(rooms[0], `meanwhile ${n}`);
      expect(ack.event).toBe('message.ack');
      await eventually('it at bob', () =>
        bob.client.conversations
          .get(rooms[0])
          ?.messages.some(({ seq }) => seq === (ack.data['seq'] as number)),
      );
    }
    const refused = await send(rooms[1], 'nobody takes it');
    expect(refused.event).toBe('error');
    expect(refused.data).toMatchObject({ code: 'unavailable', status: 503, retryable: true });
    // What it missed there cannot be read: it is left out, and named when it can be.
    const answered = async (): Promise<unknown[]> => {
      const { pages, done } = await raw.sync();
      expect(done.event).toBe('sync.done');
      const all = pages.flatMap(({ data }) => data['conversations'] as { conversationId: string }[]);
      return all.map(({ conversationId }) => conversationId);
    };
    const part = await answered();
    expect(part).toContain(rooms[0]);
    expect(part).not.toContain(rooms[1]);
    await eventually('the word of it', async () => {
      const health = await fetch(`${node.url}/health/ready`);
      return JSON.stringify(await health.json()).includes('"down"');
    });
    await shards[1].start();
    await raw.waitFor(({ event, data }) => event === 'resync' && isAbout(data, rooms[1]), 'the resync');
    expect(await answered()).toContain(rooms[1]);
    await waiting;
    await verifyAction(node.url, [ann, bob], () => say(ann, rooms[1], 'and on'), { patienceMs: 60_000 });
    await raw.close();
    await verify();
  });

  it('is refused with another list of stores', async () => {
    const third = await EventStoreProcess.start();
    try {
      for (const [urls, sentence] of [
        [[shards[0].url], /is shard 1 of 2: EVENTSTORE_URL must name all of them/],
        [[...shards.map(({ url }) => url), third.url], /stores that are not the shards of one log/],
        [[shards[1].url, third.url], /is shard 2 of 2 of another list/],
      ] as const) {
        const start = startTestNode({ eventStoreUrls: urls, eventStoreStreamPrefix: undefined });
        await expect(start).rejects.toThrow(OtherShards);
        await expect(start).rejects.toThrow(sentence);
      }
    } finally {
      await third.destroy();
    }
  });

  it('takes them in any order', async () => {
    const { places, close } = await openServerLog(
      { urls: shards.map(({ url }) => url).toReversed() },
      { onOthers: () => undefined },
    );
    await close();
    expect(places).toEqual(shards.map(({ port }) => `127.0.0.1:${port}`));
  });

  it('goes on over a third store after `reshard`, with the cursors and the read models that there were', async () => {
    const third = await EventStoreProcess.start();
    const from = shards.map(({ url }) => url);
    const more: string[] = [];
    for (let n = 0; n < 12; n++) {
      const { id } = await ann.api.createConversation({
        kind: 'group',
        title: 'more',
        memberIds: [bob.userId],
      });
      more.push(id);
      const { seq } = await say(ann, id, 'first');
      await say(bob, id, 'second');
      await ann.client.edit(id, seq, 'first, edited');
      await ann.client.react(id, seq, 'tea', true);
    }
    await node.stop();
    expect(await reshard({ from, to: [...from, third.url], streamPrefix: undefined }, () => undefined)).toBe(
      true,
    );
    await expect(start(shards, node)).rejects.toThrow(OtherShards);
    added.push(third);
    await start([...shards, third], node);
    const moved = more.filter((id) => shardOfStream(conversationStream(asConversationId(id)), 3) === 2);
    for (const id of [...rooms, ...moved]) await say(bob, id, 'after');
    await verifyAction(node.url, [ann, bob], () => say(ann, rooms[0], 'all as before'), {
      patienceMs: 60_000,
    });
    await verify();
  });
});
