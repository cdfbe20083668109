import { MemoryCursorStore } from './stores';
import { Bench, record, ROOM, settle } from './testing/bench';
import { ME, OTHER, type FakeServer } from './testing/fake-server';

const bench = new Bench();
const device: Bench['device'] = (options) => bench.device(options);
let server: FakeServer;

beforeEach(() => {
  bench.open();
  ({ server } = bench);
});
afterEach(() => bench.close());

describe('leaving and coming back', () => {
  it('drops a conversation it no longer belongs to', async () => {
    const client = device();
    const removed: unknown[] = [];
    client.on('removed', ({ conversationId }) => removed.push(conversationId));
    await client.connect();
    server.say(ROOM, 'a');
    await settle();
    server.removed.add(ROOM);
    server.socket.cut();
    await settle(1_000);
    expect(removed).toEqual([ROOM]);
    expect(client.conversations.get(ROOM)).toBeUndefined();
  });

  it('shows somebody who comes back all there is, and hands over only what is new', async () => {
    const client = device();
    const heard = record(client);
    await client.connect();
    server.say(ROOM, 'a');
    await settle();
    server.removed.add(ROOM);
    server.socket.cut();
    await settle(1_000);
    expect(client.conversations.get(ROOM)).toBeUndefined();
    server.removed.delete(ROOM);
    server.say(ROOM, 'b');
    await settle();
    server.say(ROOM, 'c');
    await settle();
    expect(heard).toEqual(['0:a', '1:b', '2:c']);
    expect(client.conversations.get(ROOM)?.messages.map(({ seq }) => seq)).toEqual([0, 1, 2]);
    // Back for good: its cursor counts again.
    server.socket.cut();
    await settle(1_000);
    // One lower than what it has: the pretended server tells no summary, and it is still owed one.
    expect(server.socket.received[1]).toMatchObject({ event: 'sync', data: { cursors: { [ROOM]: 1 } } });
  });

  it('takes what is new of a conversation it is back in, when the server knows of it only by its cursor', async () => {
    const client = device();
    const heard = record(client);
    await client.connect();
    server.say(ROOM, 'a');
    await settle();
    server.removed.add(ROOM);
    server.socket.cut();
    await settle(1_000);
    server.removed.delete(ROOM);
    server.say(ROOM, 'b', { lost: true });
    server.knowsCursorsOnly = true;
    server.push({ event: 'resync', data: { conversationIds: [ROOM] } });
    await settle();
    server.say(ROOM, 'c');
    await settle();
    expect(heard).toEqual(['0:a', '1:b', '2:c']);
  });

  it('remembers over a restart what it was told of a conversation it left', async () => {
    const cursorStore = new MemoryCursorStore();
    const first = device({ cursorStore });
    await first.connect();
    server.say(ROOM, 'a');
    await settle();
    server.removed.add(ROOM);
    server.socket.cut();
    await settle(1_000);
    await first.close();
    expect(await cursorStore.load()).toEqual({ epoch: 'epoch-1', cursors: {}, left: { [ROOM]: 0 } });
    server.removed.delete(ROOM);
    server.say(ROOM, 'b');
    const second = device({ cursorStore });
    const heard = record(second);
    await second.connect();
    // Asked for from where it was left; and when that shows that it is back, as unknown: told is only what is new.
    const asked = server.socket.received.filter(({ event }) => event === 'sync');
    expect(asked.map(({ data }) => data['cursors'])).toEqual([{ [ROOM]: 0 }, {}]);
    expect(heard).toEqual(['1:b']);
    expect(second.conversations.get(ROOM)?.messages).toHaveLength(2);
  });

  it('does not let go of a conversation for a leaving that a sync tells of together with the return', async () => {
    const client = device();
    const removed: unknown[] = [];
    client.on('removed', ({ conversationId }) => removed.push(conversationId));
    server.say(ROOM, 'a', { lost: true });
    const at = '2026-01-01T00:00:00.000Z';
    for (const change of ['removed', 'joined'] as const) {
      const seq = server.events(ROOM).length;
      const data = { conversationId: ROOM, seq, at, by: OTHER, userId: ME, change };
      server.events(ROOM).push({ event: 'membership.changed', data });
    }
    await client.connect();
    expect(removed).toEqual([]);
    expect(client.conversations.get(ROOM)?.messages).toHaveLength(1);
  });
});
