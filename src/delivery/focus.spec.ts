import {
  Author,
  conversationOf,
  DeliveryWorld,
  userOf,
  type RecordingConnection,
} from '../../test/support/delivery';
import { asSeq, type ConversationId } from '../kernel/ids';
import type { Connection } from './connection';
import { concernOf, concernsAlone, FOCUS_MEMBERS_MAX } from './plan';
import { ACTIVITY_INTERVAL_MS } from './activity-hints';

const ONE = conversationOf(1);

/** What `focus` does. */
const focus = (connection: RecordingConnection, id: ConversationId | undefined): void => {
  connection.focused = id;
  if (id !== undefined) connection.catchUp(id);
};
const resyncs = (connection: RecordingConnection): unknown[] =>
  connection.answers.filter(({ event }) => event === 'resync').map(({ data }) => data);

describe('a very large group', () => {
  let world: DeliveryWorld;
  let author: Author;
  let ann: RecordingConnection;
  let ben: RecordingConnection;

  beforeEach(async () => {
    world = new DeliveryWorld();
    author = new Author(world, ONE);
    await world.feed.start();
    ann = world.connect(userOf(0));
    ben = world.connect(userOf(1));
  });
  afterEach(async () => {
    await world.stop();
  });

  const start = (members: number) => author.start(Array.from({ length: members }, (_, n) => n));
  const sync = (connection: Connection, cursor: number) =>
    world.sync.sync(connection, { cursors: { [ONE]: cursor }, window: 1_000 }, undefined);

  it(`pushes to everybody up to ${FOCUS_MEMBERS_MAX} members`, async () => {
    await start(FOCUS_MEMBERS_MAX);
    await author.say(0);
    await world.settle();
    expect(ben.seqsOf(ONE)).toEqual([0, 1]);
    expect(ben.hints).toEqual([]);
  });

  it('pushes to devices that focus it, and tells the others how far it has got, once a second', async () => {
    await start(FOCUS_MEMBERS_MAX + 1);
    await world.settle();
    focus(ann, ONE);
    for (let n = 0; n < 5; n++) await author.say(0);
    await world.settle();
    expect(ann.seqsOf(ONE)).toEqual([1, 2, 3, 4, 5]);
    expect(ben.seqsOf(ONE)).toEqual([]);
    const hint = (headSeq: number, headOrdinal: number) => ({
      event: 'conversation.activity',
      data: { conversationId: ONE, headSeq, headOrdinal },
    });
    expect(ben.hints).toEqual([hint(0, 0)]);
    while (ben.hints.length < 2)
      await new Promise((resolve) => setTimeout(resolve, ACTIVITY_INTERVAL_MS / 10));
    expect(ben.hints).toEqual([hint(0, 0), hint(5, 5)]);
    expect(ann.hints).toEqual([hint(0, 0)]);
  });

  it('tells a device that focuses it to sync what was withheld, before the next push', async () => {
    await start(FOCUS_MEMBERS_MAX + 1);
    await author.say(0);
    await world.settle();
    focus(ben, ONE);
    await author.say(0);
    await world.settle();
    expect(ben.received.map(({ event }) => event)).toEqual(['resync', 'message.sent']);
    expect(resyncs(ben)).toEqual([{ conversationIds: [ONE] }]);
    focus(ben, undefined);
    await author.say(0);
    await world.settle();
    expect(ben.seqsOf(ONE)).toEqual([2]);
    // Synced meanwhile: nothing is missing when it is focused again.
    await sync(ben, 2);
    focus(ben, ONE);
    await author.say(0);
    await world.settle();
    expect(resyncs(ben)).toHaveLength(1);
    expect(ben.seqsOf(ONE)).toEqual([2, 4]);
  });

  it('gives a device that never focuses it the whole log by sync', async () => {
    await start(FOCUS_MEMBERS_MAX + 1);
    for (let n = 0; n < 4; n++) await author.say(n);
    await world.settle();
    await world.sync.sync(ben, { cursors: {}, window: 1_000 }, undefined);
    const [entry] = ben.pages;
    expect(entry?.events.map(({ data }) => data.seq)).toEqual([0, 1, 2, 3, 4]);
    expect(ben.seqsOf(ONE)).toEqual([]);
  });

  it('becomes a large one again when members leave, without a hole', async () => {
    await start(FOCUS_MEMBERS_MAX + 1);
    await author.say(0);
    await author.remove(7, 7);
    await author.say(0);
    await world.settle();
    expect(ben.received.map(({ event, data }) => [event, 'seq' in data ? data.seq : undefined])).toEqual([
      ['resync', undefined],
      ['membership.changed', 2],
      ['message.sent', 3],
    ]);
  });

  it('tells at once who joins, who is removed, and who has read on another device', async () => {
    await start(FOCUS_MEMBERS_MAX + 1);
    await author.say(0);
    await world.settle();
    const newcomer = world.connect(userOf(5_000));
    await author.add(0, 5_000);
    await world.settle();
    expect(newcomer.seqsOf(ONE)).toEqual([2]);
    await author.read(1, 1);
    await world.settle();
    expect(resyncs(ben)).toEqual([{ conversationIds: [ONE] }]);
    expect(resyncs(ann)).toEqual([]);
    await sync(ben, 0);
    await author.remove(0, 1);
    await world.settle();
    expect(resyncs(ben)).toHaveLength(2);
    await sync(ben, 3);
    expect(ben.pages.at(-1)).toMatchObject({ removed: true, headSeq: 4 });
    expect(ben.pages.at(-1)?.events.map(({ event }) => event)).toEqual(['membership.changed']);
  });

  it('concerns nobody alone by anything else', () => {
    const recorded = { conversationId: ONE, seq: asSeq(1), at: 0 as never };
    const left = { type: 'MembershipChanged', by: userOf(1), userId: userOf(1), change: 'left' } as const;
    expect(concernsAlone(concernOf({ ...recorded, event: left }), userOf(2))).toBeUndefined();
    const deleted = { type: 'MessageDeleted', by: userOf(1), target: asSeq(0) } as const;
    expect(concernsAlone(concernOf({ ...recorded, event: deleted }), userOf(1))).toBeUndefined();
  });
});
