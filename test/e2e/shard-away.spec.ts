import { randomUUID } from 'node:crypto';
import { EventLogUnavailable } from '../../src/application/ports/event-log';
import { conversationStream } from '../../src/domain/conversation/streams';
import { openServerLog } from '../../src/infrastructure/event-log/server-log';
import { OtherShards } from '../../src/infrastructure/event-log/sharded/arrangement';
import { shardOfStream } from '../../src/infrastructure/event-log/sharded/placement';
import { asConversationId } from '../../src/kernel/ids';
import { freshStream, newEvents } from '../contracts/event-log/fixture';
import { EventStoreProcess } from '../support/event-store-process';
import { createTestDatabase, type TestDatabase } from '../support/postgres';
import { RawDevice, type Frame } from '../support/raw-device';
import { call } from '../support/rest';
import { connectedDevice, eventually, signUp, type SdkDevice } from '../support/sdk-device';
import { startTestNode, type TestNode } from '../support/test-node';
import { verifyAction } from '../support/verify-action';

const shardOf = (id: string): number => shardOfStream(conversationStream(asConversationId(id)), 3);

/** Three of our own doors as processes, of which one is killed while no node runs. */
describe('a node that starts while one of its three shards is away', () => {
  let shards: EventStoreProcess[];
  let database: TestDatabase;
  let node: TestNode;
  let ann: SdkDevice;
  let bob: SdkDevice;
  /** A conversation of the two in each shard. */
  let rooms: string[];

  beforeAll(async () => {
    shards = await Promise.all([0, 1, 2].map(() => EventStoreProcess.start()));
    database = await createTestDatabase();
    await start();
    const [one, other] = await Promise.all([signUp(node.url, 'ann'), signUp(node.url, 'bob')]);
    ann = await connectedDevice(node.url, one, 'phone');
    bob = await connectedDevice(node.url, other, 'tablet');
    rooms = [];
    while ([0, 1, 2].some((shard) => rooms[shard] === undefined)) {
      const { id } = await one.createConversation({ kind: 'group', title: 'tea', memberIds: [bob.userId] });
      rooms[shardOf(id)] ??= id;
    }
    await eventually('the rooms', () => rooms.every((id) => bob.client.conversations.get(id) !== undefined));
    for (const id of rooms) await say(ann, id, 'before');
    await eventually('settled', async () => (await health()).checks['projection']?.status === 'up');
  });
  afterAll(async () => {
    await Promise.all([ann, bob].map(({ client }) => client.close()));
    await node.stop();
    await database.drop();
    await Promise.all(shards.map((shard) => shard.destroy()));
  });

  const start = async (known?: TestNode): Promise<void> => {
    node = await startTestNode({
      eventStoreUrls: shards.map(({ url }) => url),
      ...{ eventStoreStreamPrefix: undefined, rateLimits: false, databaseUrl: database.url },
      ...(known === undefined ? {} : { port: Number(new URL(known.url).port), jwtSecret: known.jwtSecret }),
    });
  };
  const say = (device: SdkDevice, id: string, body: string) =>
    device.client.send({ conversationId: id }, body).acked;
  const health = async () => {
    const answer = await fetch(`${node.url}/health/ready`);
    const body = (await answer.json()) as { checks: Record<string, { status: string; detail?: string }> };
    return { ...body, status: answer.status };
  };
  const synced = async (
    device: RawDevice,
    cursors: Record<string, number>,
  ): Promise<Map<string, number[]>> => {
    const { pages, done } = await device.sync({ cursors, recent: 0 });
    expect(done.event).toBe('sync.done');
    const all = pages.flatMap(
      ({ data }) =>
        data['conversations'] as { conversationId: string; events: { data: { seq: number } }[] }[],
    );
    return new Map(
      all.map(({ conversationId, events }) => [conversationId, events.map(({ data }) => data.seq)]),
    );
  };

  it('serves what lies in the others, leaves the rest out of `sync`, and names it when the shard is back', async () => {
    const [here, there, elsewhere] = rooms as [string, string, string];
    const ofSend = (id: string) => ({
      ...{ conversationId: id, clientMessageId: randomUUID(), content: { type: 'text', body: 'meanwhile' } },
    });
    await node.stop();
    expect(await shards[1]?.end('SIGKILL')).toBe('SIGKILL');
    await start(node);
    const state = await eventually('readiness', async () => {
      const now = await health();
      return now.status === 200 && now;
    });
    expect(state.checks['eventStore']).toEqual({ status: 'down', detail: 'shard 2 is away' });

    const raw = await RawDevice.signIn(node.url, bob.token, { inspect: node.inspectFrame });
    const cursors = { [here]: 0, [there]: 0, [elsewhere]: 0 };
    const part = await synced(raw, cursors);
    expect([...part.keys()].sort()).toEqual([here, elsewhere].sort());

    // The others: taken, pushed, projected. There: refused as retryable, and nothing of it is lost.
    const acks: Frame[] = [];
    for (const id of [here, elsewhere]) {
      const ack = await raw.request('message.send', ofSend(id));
      expect(ack.event).toBe('message.ack');
      acks.push(ack);
      const seq = ack.data['seq'] as number;
      await eventually('it at ann', () =>
        ann.client.conversations.get(id)?.messages.some((message) => message.seq === seq),
      );
      const history = await call(node.url, 'GET', `/api/v1/conversations/${id}/messages?minSeq=${seq}`, {
        token: ann.token,
      });
      expect(history.status).toBe(200);
    }
    const refused = await raw.request('message.send', ofSend(there));
    expect(refused.data).toMatchObject({ code: 'unavailable', retryable: true });
    const waiting = say(ann, there, 'said while it was away');

    await shards[1]?.start();
    const isAboutIt = ({ event, data }: Frame): boolean =>
      event === 'resync' && (data['conversationIds'] as string[]).includes(there);
    await raw.waitFor(isAboutIt, 'the resync');
    await waiting;
    const head = (await waiting).seq;
    await eventually('all of it', async () => {
      const seqs = (await synced(raw, cursors)).get(there) ?? [];
      return seqs.includes(head) && seqs.includes(1);
    });
    await eventually('no shard away', async () => (await health()).checks['eventStore']?.status === 'up');
    await verifyAction(node.url, [ann, bob], () => say(bob, there, 'and on'), { patienceMs: 60_000 });
    await raw.close();
  });

  it('is told when the store that comes late is another one, and writes nothing to it', async () => {
    const [first, , third] = shards as [EventStoreProcess, EventStoreProcess, EventStoreProcess];
    const stranger = await EventStoreProcess.start();
    const told: Error[] = [];
    const events = { onOthers: (error: Error) => told.push(error) };
    await stranger.end('SIGKILL');
    await shards[1]?.end('SIGKILL');
    // One that is alone, and is one of several; and one of a list that is none of its shards.
    const alone = await openServerLog({ urls: [(shards[1] as EventStoreProcess).url] }, events);
    const list = await openServerLog({ urls: [first.url, stranger.url, third.url] }, events);
    try {
      const streams = [0, 1, 2].map((shard) => {
        for (;;) {
          const stream = freshStream();
          if (shardOfStream(stream, 3) === shard) return stream;
        }
      }) as [string, string, string];
      const append = (log: typeof alone, stream: string) =>
        log.log.append(stream, newEvents(1), { expected: 'any' });
      expect(await append(list, streams[0])).toMatchObject({ kind: 'appended' });
      await expect(append(list, streams[1])).rejects.toThrow(EventLogUnavailable);
      await expect(append(alone, streams[1])).rejects.toThrow(EventLogUnavailable);
      await Promise.all([stranger.start(), shards[1]?.start()]);
      await eventually('both told', () => told.length === 2);
      for (const error of told) expect(error).toBeInstanceOf(OtherShards);
      const sentences = told.map(({ message }) => message).join('\n');
      expect(sentences).toMatch(/is shard 2 of 3: EVENTSTORE_URL must name all of them/);
      expect(sentences).toMatch(/is no shard of any list, and none of the 3 shards/);
      await expect(append(list, streams[1])).rejects.toThrow(EventLogUnavailable);
      await expect(append(alone, streams[1])).rejects.toThrow(EventLogUnavailable);
    } finally {
      await Promise.all([alone.close(), list.close()]);
      await stranger.destroy();
    }
  });
});
