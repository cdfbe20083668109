import { BACKWARDS, EventStoreDBClient, START, type ResolvedEvent } from '@eventstore/db-client';
import { CONVERSATION_STREAM_PREFIX } from '../../src/domain/conversation/streams';
import type { ParleyApi } from '../../sdk/node';
import { EventStoreProcess } from '../support/event-store-process';
import { connectedDevice, eventually, signUp, type SdkDevice } from '../support/sdk-device';
import { startTestNode, type TestNode } from '../support/test-node';
import { verifyAction } from '../support/verify-action';

const MESSAGES = 60;

/** Whole nodes whose event store others reach, too: the server as a process of its own, and the engine's open door. */
describe('a node and an event store that speaks to others', () => {
  const open: SdkDevice[] = [];
  let node: TestNode | undefined;

  afterEach(async () => {
    await Promise.all(open.splice(0).map(({ client }) => client.close()));
    await node?.stop();
    node = undefined;
  });

  const chat = async (
    url: string,
  ): Promise<{ id: string; ann: SdkDevice; bob: SdkDevice; api: ParleyApi }> => {
    const [one, other] = await Promise.all([signUp(url, 'ann'), signUp(url, 'bob')]);
    const memberIds = [other.session?.user.id ?? ''];
    const { id } = await one.createConversation({ kind: 'group', title: 'tea', memberIds });
    const [ann, bob] = [
      await connectedDevice(url, one, 'phone'),
      await connectedDevice(url, other, 'tablet'),
    ];
    open.push(ann, bob);
    return { id, ann, bob, api: other };
  };
  /** Bodies of the messages in the stream as any client of EventStoreDB reads it, in its order. */
  const storedBodies = async (client: EventStoreDBClient, id: string): Promise<unknown[]> => {
    const bodies: unknown[] = [];
    for await (const { event } of client.readStream(CONVERSATION_STREAM_PREFIX + id, {
      fromRevision: START,
    })) {
      if (event?.type === 'MessageSent') bodies.push(bodyOf(event.data));
    }
    return bodies;
  };
  const bodyOf = (data: unknown): unknown => (data as { content: { body: string } }).content.body;
  const words = (count: number, what: string): string[] =>
    Array.from({ length: count }, (_, n) => `${what} ${n}`);

  it('chats on `npm run eventstore`, and goes on after that was killed', async () => {
    const server = await EventStoreProcess.start();
    const client = EventStoreDBClient.connectionString(server.url);
    try {
      node = await startTestNode({
        eventStoreUrls: [server.url],
        eventStoreStreamPrefix: undefined,
        rateLimits: false,
      });
      expect(node.running.places.eventStore).toBe(`127.0.0.1:${server.port}`);
      const { id, ann, bob, api } = await chat(node.url);
      const bodies = words(MESSAGES, 'word');
      const say = (from: number, to: number) =>
        bodies.slice(from, to).map((body) => ann.client.send({ conversationId: id }, body).acked);
      await Promise.all(say(0, 20));
      const during = say(20, 40);
      expect(await server.end('SIGKILL')).toBe('SIGKILL');
      const down = say(40, MESSAGES);
      await eventually('the refusal', async () => {
        const health = await fetch(`${node?.url ?? ''}/health/ready`);
        return JSON.stringify(await health.json()).includes('"down"');
      });
      await server.start();
      const acks = await Promise.all([...during, ...down]);
      expect(new Set(acks.map(({ seq }) => seq)).size).toBe(MESSAGES - 20);
      expect(await storedBodies(client, id)).toEqual(bodies);
      const { items } = await api.messages(id, { limit: 100, minSeq: acks.at(-1)?.seq ?? 0 });
      expect(items).toHaveLength(MESSAGES);
      await verifyAction(node.url, [ann, bob], () => ann.client.send({ conversationId: id }, 'last').acked);
      expect([ann.errors, bob.errors]).toEqual([[], []]);
    } finally {
      await client.dispose();
      await node?.stop();
      node = undefined;
      await server.destroy();
    }
  });

  it('lets an official client follow its streams through the open door, while devices chat', async () => {
    node = await startTestNode({
      ...{ eventStoreUrls: undefined, eventStoreStreamPrefix: undefined, rateLimits: false },
      eventStoreGrpcPort: 0,
    });
    const port = /gRPC on 127\.0\.0\.1:(\d+)$/.exec(node.running.places.eventStore)?.[1] ?? '';
    const client = EventStoreDBClient.connectionString(`esdb://127.0.0.1:${port}?tls=false`);
    const { id, ann, bob } = await chat(node.url);
    const stream = CONVERSATION_STREAM_PREFIX + id;
    const seen: ResolvedEvent[] = [];
    const subscription = client.subscribeToStream(stream, { fromRevision: START });
    const following = (async () => {
      for await (const resolved of subscription) seen.push(resolved);
    })();
    try {
      const [hers, his] = [words(MESSAGES, 'hers'), words(MESSAGES, 'his')];
      await Promise.all([
        ...hers.map((body) => ann.client.send({ conversationId: id }, body).acked),
        ...his.map((body) => bob.client.send({ conversationId: id }, body).acked),
      ]);
      const sent = (): unknown[] =>
        seen.flatMap(({ event }) => (event?.type === 'MessageSent' ? [bodyOf(event.data)] : []));
      await eventually('all of them', () => sent().length === 2 * MESSAGES);
      expect(sent().filter((body) => String(body).startsWith('hers'))).toEqual(hers);
      expect(sent().filter((body) => String(body).startsWith('his '))).toEqual(his);
      expect(seen.map(({ event }) => Number(event?.revision))).toEqual(seen.map((_, n) => n));
      expect(await storedBodies(client, id)).toEqual(sent());
      for await (const { event } of client.readStream(stream, { direction: BACKWARDS, maxCount: 1 })) {
        expect(event?.metadata).toMatchObject({
          schemaVersion: 1,
          hash: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
        });
      }
    } finally {
      await subscription.unsubscribe();
      await following;
      await client.dispose();
    }
  });
});
