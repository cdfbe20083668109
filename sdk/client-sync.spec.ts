import { READ_CONFIRM_MS, READ_REPEATS_MAX } from './receipts';
import { MemoryCursorStore, type CursorState } from './stores';
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

describe('catching up', () => {
  it('hands over exactly what is missing, across restarts', async () => {
    const cursorStore = new MemoryCursorStore();
    const first = device({ cursorStore });
    await first.connect();
    server.say(ROOM, 'a');
    await settle(500);
    await first.close();
    server.say(ROOM, 'b');
    const second = device({ cursorStore });
    const heard = record(second);
    await second.connect();
    expect(heard).toEqual(['1:b']);
    expect(server.socket.received[1]).toMatchObject({ event: 'sync', data: { cursors: { [ROOM]: 0 } } });
  });

  it('releases pushes that came during the sync behind its pages, without doubles', async () => {
    server.say(ROOM, 'a');
    server.heldSyncs = [];
    const client = device();
    const heard = record(client);
    const connected = client.connect();
    await settle();
    server.say(ROOM, 'b');
    server.say(ROOM, 'c');
    await settle();
    expect(heard).toEqual([]);
    const held = server.heldSyncs;
    server.heldSyncs = undefined;
    held.forEach((answer) => {
      answer();
    });
    await connected;
    expect(heard).toEqual(['0:a', '1:b', '2:c']);
  });

  it('does not make the next event wait for a slow sync', async () => {
    const client = device();
    const heard = record(client);
    await client.connect();
    server.say(ROOM, 'a');
    await settle();
    server.heldSyncs = [];
    server.socket.cut();
    await settle(1_000);
    server.say(ROOM, 'b');
    await settle();
    expect(heard).toEqual(['0:a', '1:b']);
  });

  it('asks for the summary of a conversation whose unread count it cannot know', async () => {
    const cursorStore = new MemoryCursorStore();
    const first = device({ cursorStore });
    await first.connect();
    for (const body of ['a', 'b']) server.say(ROOM, body);
    await settle(500);
    await first.close();
    const second = device({ cursorStore });
    await second.connect();
    const syncs = () => server.socket.received.filter(({ event }) => event === 'sync');
    expect(syncs()).toHaveLength(1);
    const at = '2026-01-01T00:00:00.000Z';
    const data = { conversationId: ROOM, seq: 2, at, by: OTHER, target: 0 };
    const frame = { event: 'message.deleted' as const, data };
    server.events(ROOM).push(frame);
    server.push(frame);
    await settle();
    // One lower than what it has, so that it is answered although nothing has moved.
    expect(syncs()[1]).toMatchObject({ data: { cursors: { [ROOM]: 1 } } });
    expect(syncs()).toHaveLength(2);
  });

  it('syncs when the server says that it dropped pushes', async () => {
    const client = device();
    const heard = record(client);
    await client.connect();
    server.say(ROOM, 'a');
    server.say(ROOM, 'b', { lost: true });
    server.push({ event: 'resync', data: { conversationIds: [ROOM] } });
    server.say(ROOM, 'c');
    await settle();
    expect(heard).toEqual(['0:a', '1:b', '2:c']);
  });

  it('keeps a very large conversation that is not on screen for later, and asks for one it does not know', async () => {
    const client = device();
    await client.connect();
    server.say(ROOM, 'a');
    await settle();
    server.say(ROOM, 'b', { lost: true });
    server.say(ROOM, 'c', { lost: true });
    server.push({
      event: 'conversation.activity',
      data: { conversationId: ROOM, headSeq: 2, headOrdinal: 3 },
    });
    await settle();
    const room = client.conversations.get(ROOM);
    expect([room?.lastOrdinal, room?.announcedMessages]).toEqual([1, 2]);
    const syncs = (): number => server.socket.received.filter(({ event }) => event === 'sync').length;
    expect(syncs()).toBe(2);
    server.push({ event: 'resync', data: { conversationIds: [ROOM] } });
    await settle();
    expect([room?.lastOrdinal, room?.announcedMessages]).toEqual([3, 0]);
    server.push({
      event: 'conversation.activity',
      data: { conversationId: 'new', headSeq: 0, headOrdinal: 0 },
    });
    await settle();
    expect(syncs()).toBe(4);
  });

  it('takes a hole in live pushes for what it is: not meant for this device', async () => {
    const client = device();
    const heard = record(client);
    await client.connect();
    server.say(ROOM, 'a');
    await settle();
    server.say(ROOM, 'for others', { lost: true });
    server.say(ROOM, 'c');
    await settle();
    expect(heard).toEqual(['0:a', '2:c']);
  });

  it('tells of a gap and forgets what lay before it', async () => {
    const client = device();
    const gaps: unknown[] = [];
    client.on('limited', (gap) => gaps.push(gap));
    await client.connect();
    server.say(ROOM, 'old');
    await settle();
    server.window = 2;
    server.reachable = false;
    server.socket.cut();
    for (let n = 0; n < 5; n++) server.say(ROOM, `missed ${n}`);
    server.reachable = true;
    await settle(1_000);
    expect(gaps).toEqual([{ conversationId: ROOM, from: 4, headSeq: 5 }]);
    expect(client.conversations.get(ROOM)?.messages.map(({ seq }) => seq)).toEqual([4, 5]);
  });

  it('starts anew when the epoch changed', async () => {
    const cursorStore = new MemoryCursorStore({ epoch: 'epoch-0', cursors: { [ROOM]: 7 } });
    server.say(ROOM, 'restored');
    const client = device({ cursorStore });
    const heard = record(client);
    const epochs: unknown[] = [];
    client.on('epoch', ({ epoch }) => epochs.push(epoch));
    await client.connect();
    await settle(500);
    expect(epochs).toEqual(['epoch-1']);
    expect(heard).toEqual(['0:restored']);
    expect(await cursorStore.load()).toEqual({ epoch: 'epoch-1', cursors: { [ROOM]: 0 } });
  });

  it('learns of a conversation it was added to by a sync', async () => {
    const client = device();
    const heard = record(client);
    await client.connect();
    server.say('elsewhere', 'first');
    await settle();
    expect(heard).toEqual(['0:first']);
    expect(server.socket.received.filter(({ event }) => event === 'sync')).toHaveLength(2);
  });

  it('learns of a conversation it was added to while a sync ran, too late for its answer', async () => {
    server.heldSyncs = [];
    const client = device();
    const heard = record(client);
    const connected = client.connect();
    await settle();
    server.say('elsewhere', 'first');
    await settle();
    const events = server.events('elsewhere');
    server.log.delete('elsewhere');
    const held = server.heldSyncs;
    server.heldSyncs = undefined;
    for (const answer of held) answer();
    server.log.set('elsewhere', events);
    await connected;
    expect(heard).toEqual(['0:first']);
    expect(server.socket.received.filter(({ event }) => event === 'sync')).toHaveLength(2);
  });

  it('says that it does not know what came before a push which the server cannot place yet', async () => {
    const client = device();
    const heard = record(client);
    const limited: object[] = [];
    client.on('limited', (gap) => limited.push(gap));
    await client.connect();
    server.say('elsewhere', 'before', { lost: true });
    server.say('elsewhere', 'pushed', { lost: true });
    const events = server.events('elsewhere');
    // As while the read models are away: a sync does not know of conversations without a cursor.
    server.log.delete('elsewhere');
    server.push(events[1] as object);
    await settle();
    expect(heard).toEqual(['1:pushed']);
    expect(limited).toEqual([{ conversationId: 'elsewhere', from: 1, headSeq: 1 }]);
    server.log.set('elsewhere', events);
    server.push({ event: 'resync', data: { conversationIds: ['elsewhere'] } });
    await settle();
    const syncs = server.socket.received.filter(({ event }) => event === 'sync');
    // One lower: whatever has moved since, the answer brings the summary.
    expect(syncs.at(-1)?.data['cursors']).toEqual({ elsewhere: 0 });
    expect(heard).toEqual(['1:pushed']);
  });

  it('saves a cursor only after the handlers of its event have finished', async () => {
    const saved: CursorState[] = [];
    const cursorStore = new MemoryCursorStore();
    jest.spyOn(cursorStore, 'save').mockImplementation((state) => {
      saved.push(state);
      return Promise.resolve();
    });
    const client = device({ cursorStore });
    let finish: () => void = () => undefined;
    client.on('message.sent', () => new Promise<void>((resolve) => (finish = resolve)));
    await client.connect();
    await settle(500);
    saved.length = 0;
    server.say(ROOM, 'a');
    await settle(5_000);
    expect(saved).toEqual([]);
    finish();
    await settle(500);
    expect(saved.at(-1)?.cursors).toEqual({ [ROOM]: 0 });
  });
});

describe('receipts and standing wishes', () => {
  it('tells in one frame what has been delivered, and never of its own messages', async () => {
    const client = device();
    await client.connect();
    for (let n = 0; n < 5; n++) server.say(ROOM, 'x');
    server.say('room-2', 'y');
    await client.send({ conversationId: 'room-3' }, 'mine').acked;
    await settle(200);
    const receipts = server.socket.received.filter(({ event }) => event === 'delivered');
    expect(receipts.map(({ data }) => data)).toEqual([{ cursors: { [ROOM]: 4, 'room-2': 0 } }]);
  });

  it('repeats a read cursor that was taken and never came into the conversation, on and after the connection', async () => {
    const client = device();
    await client.connect();
    server.say(ROOM, 'a');
    await settle();
    const sent = (): unknown[] =>
      server.socket.received.filter(({ event }) => event === 'read').map(({ data }) => data);
    client.read(ROOM, 0);
    await settle(1_000);
    expect(sent()).toHaveLength(1);
    for (let n = 1; n < READ_REPEATS_MAX + 3; n++) await settle(READ_CONFIRM_MS + 1_000);
    expect(sent()).toEqual(
      Array.from({ length: 1 + READ_REPEATS_MAX }, () => ({ conversationId: ROOM, upTo: 0 })),
    );
    server.socket.cut();
    await settle(2_000);
    expect(sent()).toEqual([{ conversationId: ROOM, upTo: 0 }]);
    server.push({
      event: 'message.read',
      data: { conversationId: ROOM, seq: 1, at: '', by: ME, cursors: [{ userId: ME, upTo: 0 }] },
    });
    await settle(READ_CONFIRM_MS * 2);
    server.socket.cut();
    await settle(2_000);
    expect(sent()).toEqual([]);
  });

  it('says the furthest read cursor again that is not confirmed, though one further back was read since', async () => {
    const client = device();
    await client.connect();
    for (const upTo of [9, 4]) {
      client.read(ROOM, upTo);
      await settle();
    }
    server.socket.cut();
    await settle(1_000);
    const reads = server.socket.received.filter(({ event }) => event === 'read');
    expect(reads.map(({ data }) => data['upTo'])).toEqual([9]);
  });

  it('says again after a reconnect what the server forgot', async () => {
    const client = device();
    await client.connect();
    client.setPresence('busy', 'in a meeting');
    client.watchPresence([OTHER]);
    client.focus(ROOM);
    server.swallow.add('read');
    client.read(ROOM, 9);
    await settle();
    server.swallow.clear();
    server.socket.cut();
    await settle(1_000);
    const again = server.socket.received.filter(({ event }) => !['auth', 'sync'].includes(event));
    expect(again.map(({ event, data }) => [event, data])).toEqual([
      ['presence.set', { status: 'busy', customStatus: 'in a meeting' }],
      ['presence.watch', { userIds: [OTHER] }],
      ['focus', { conversationId: ROOM }],
      ['read', { conversationId: ROOM, upTo: 9 }],
    ]);
  });

  it('tells of a handler that throws and hands the event to the others all the same', async () => {
    const client = device();
    const errors: unknown[] = [];
    client.on('message.sent', () => {
      throw new Error('application bug');
    });
    const heard = record(client);
    client.on('error', (error) => errors.push(error));
    await client.connect();
    server.say(ROOM, 'a');
    await settle();
    expect(heard).toEqual(['0:a']);
    expect(errors).toEqual([new Error('application bug')]);
  });
});
