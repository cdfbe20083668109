import fc from 'fast-check';
import { Author, conversationOf, DeliveryWorld, userOf } from '../../test/support/delivery';
import { replayable } from '../../test/support/replayable';
import type { SubscribeOptions, SubscriptionItem } from '../application/ports/event-log';
import type { Recorded } from '../domain/conversation/events';
import { MemoryEventLog } from '../infrastructure/memory/memory-event-log';
import { asEventId, type UserId } from '../kernel/ids';
import { uuidv7 } from '../kernel/uuid';
import { toSnapshot } from '../domain/conversation/snapshot';
import { conversationStream, snapshotStream } from '../domain/conversation/streams';

/** A log whose subscriptions lose events, end in the middle, and whose reads can be made to wait. */
class UnreliableLog extends MemoryEventLog {
  /** `stream@revision` of events that no subscription tells of. */
  readonly lost = new Set<string>();
  /** Each subscription ends after this many events. */
  eventsPerSubscription = Number.POSITIVE_INFINITY;
  readonly reads: string[] = [];
  beforeRead: (stream: string) => Promise<void> = () => Promise.resolve();

  override async readStream(...args: Parameters<MemoryEventLog['readStream']>) {
    this.reads.push(args[0]);
    await this.beforeRead(args[0]);
    return super.readStream(...args);
  }

  override subscribe(options: SubscribeOptions): AsyncIterable<SubscriptionItem> {
    return this.unreliable(super.subscribe(options));
  }

  private async *unreliable(items: AsyncIterable<SubscriptionItem>): AsyncGenerator<SubscriptionItem> {
    let left = this.eventsPerSubscription;
    for await (const item of items) {
      if (item.kind === 'event' && this.lost.has(`${item.event.stream}@${item.event.revision}`)) continue;
      yield item;
      if (item.kind === 'event' && --left === 0) return;
    }
  }
}

/** By the words of PROTOCOL.md section 3, without the code under test: who is to get which seqs. */
function expectedOf(events: readonly Recorded[], userId: UserId): number[] {
  const seqs: number[] = [];
  let isMember = false;
  for (const { seq, event } of events) {
    if (event.type === 'ConversationStarted') isMember = event.memberIds.includes(userId);
    const ofMine = event.type === 'MembershipChanged' && event.userId === userId;
    if (ofMine && event.change === 'joined') isMember = true;
    if (isMember && (!('audience' in event) || event.audience === 'everyone' || concerns(event, userId))) {
      seqs.push(seq);
    }
    if (ofMine && (event.change === 'left' || event.change === 'removed')) isMember = false;
  }
  return seqs;
}

const concerns = (event: { cursors: readonly { userId: UserId }[] }, userId: UserId): boolean =>
  event.cursors.some((cursor) => cursor.userId === userId);

const CONVERSATION = conversationOf(1);

describe('Feed', () => {
  let log: UnreliableLog;
  let world: DeliveryWorld;
  let author: Author;

  beforeEach(async () => {
    log = new UnreliableLog();
    world = new DeliveryWorld(log);
    author = new Author(world, CONVERSATION);
    await world.feed.start();
  });
  afterEach(() => world.stop());

  it('hands every event to all members, and to nobody else', async () => {
    const members = [0, 1, 2].map((n) => world.connect(userOf(n)));
    const stranger = world.connect(userOf(9));
    await author.start([0, 1, 2]);
    for (let n = 0; n < 20; n++) await author.say(n % 3);
    await world.settle();
    const all = Array.from({ length: 21 }, (_, seq) => seq);
    for (const member of members) expect(member.seqsOf(CONVERSATION)).toEqual(all);
    expect(stranger.events).toEqual([]);
  });

  it('gives a joiner the joining, and a removed one the removal and nothing after', async () => {
    const joiner = world.connect(userOf(2));
    await author.start([0, 1]);
    await author.say(0);
    await author.add(0, 2);
    await author.say(0);
    await author.remove(0, 2);
    await author.say(0);
    await world.settle();
    expect(joiner.seqsOf(CONVERSATION)).toEqual([2, 3, 4]);
  });

  it('begins at the end of the log, and knows the members of conversations from before', async () => {
    await author.start([0, 1]);
    await author.say(0);
    await world.stop();
    world = new DeliveryWorld(log);
    const member = world.connect(userOf(1));
    await world.feed.start();
    expect(world.feed.position).toEqual({ commit: 1n, prepare: 1n });
    await new Author(world, CONVERSATION).say(0, 'later');
    await world.settle();
    expect(member.seqsOf(CONVERSATION)).toEqual([2]);
  });

  it('has no position before it has reached the log', () => {
    expect(new DeliveryWorld(log).feed.position).toBeUndefined();
  });

  it('reads nothing for conversations of which nobody is here', async () => {
    const member = world.connect(userOf(0));
    await author.start([0, 1]);
    await world.settle();
    world.hub.unregister(member);
    world.audiences.forget(CONVERSATION);
    const before = log.reads.length;
    for (let n = 0; n < 5; n++) await author.say(0);
    await world.settle();
    expect(log.reads.slice(before).filter((stream) => stream.startsWith('snapshot'))).toEqual([]);
    expect(world.audiences.get(CONVERSATION)).toBeUndefined();
  });

  it('reads from the stream what the subscription lost, and delivers it in order', async () => {
    const member = world.connect(userOf(1));
    await author.start([0, 1]);
    await world.settle();
    for (const revision of [2, 3, 5]) log.lost.add(`${conversationStream(CONVERSATION)}@${revision}`);
    for (let n = 0; n < 6; n++) await author.say(0);
    await world.settle();
    expect(member.seqsOf(CONVERSATION)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it('heals a lost removal: whoever was removed gets nothing after it', async () => {
    const removed = world.connect(userOf(1));
    await author.start([0, 1]);
    await world.settle();
    log.lost.add(`${conversationStream(CONVERSATION)}@1`);
    await author.remove(0, 1);
    await author.say(0);
    await world.settle();
    expect(removed.seqsOf(CONVERSATION)).toEqual([0, 1]);
  });

  it('takes a subscription that ends up again, without loss or repetition', async () => {
    await world.stop();
    world = new DeliveryWorld(log);
    author = new Author(world, CONVERSATION);
    log.eventsPerSubscription = 3;
    const member = world.connect(userOf(1));
    const bytes: Buffer[] = [];
    const push = member.push.bind(member);
    member.push = (one) => {
      bytes.push(one.bytes);
      push(one);
    };
    await world.feed.start();
    await author.start([0, 1]);
    await Promise.all(Array.from({ length: 10 }, () => author.say(0)));
    await world.settle();
    expect(member.seqsOf(CONVERSATION)).toEqual(Array.from({ length: 11 }, (_, seq) => seq));
    expect(bytes).toHaveLength(11);
  });

  it('does not let a conversation whose audience is slow to load delay another', async () => {
    const other = new Author(world, conversationOf(2));
    const member = world.connect(userOf(1));
    await author.start([0, 1]);
    await other.start([0, 1]);
    await world.settle();
    world.audiences.forget(CONVERSATION);
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    log.beforeRead = (stream) => (stream === snapshotStream(CONVERSATION) ? gate : Promise.resolve());
    await author.say(0);
    await author.say(0);
    await other.say(0);
    const goal = world.feed.position;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(member.seqsOf(conversationOf(2))).toEqual([0, 1]);
    expect(member.seqsOf(CONVERSATION)).toEqual([0]);
    expect(world.lanes.waiting).toBe(2);
    expect(goal).toBeDefined();
    expect(await world.feed.waitFor(world.feed.position ?? { commit: 0n, prepare: 0n }, 1)).toBe(false);
    release();
    await world.settle();
    expect(member.seqsOf(CONVERSATION)).toEqual([0, 1, 2]);
    expect(world.lanes.waiting).toBe(0);
  });

  it('shows receipts of a large group only to those whose cursors they carry', async () => {
    const users = Array.from({ length: 40 }, (_, n) => n);
    const [one, two] = [world.connect(userOf(1)), world.connect(userOf(2))];
    await author.start(users);
    await author.say(0);
    await author.read(1, 1);
    await author.say(0);
    await world.settle();
    expect(one.seqsOf(CONVERSATION)).toEqual([0, 1, 2, 3]);
    expect(two.seqsOf(CONVERSATION)).toEqual([0, 1, 3]);
    expect(one.events[2]).toMatchObject({
      event: 'message.read',
      data: { by: userOf(1), cursors: [{ userId: userOf(1), upTo: 1 }] },
    });
  });

  it('encodes an event once, however many sockets get it', async () => {
    const bytes = new Set<Buffer>();
    const connections = Array.from({ length: 10 }, (_, n) => world.connect(userOf(1), `device-${n}`));
    for (const connection of connections) connection.push = (push) => bytes.add(push.bytes);
    await author.start([0, 1]);
    await author.say(0);
    await world.settle();
    expect(bytes.size).toBe(2);
  });

  describe('loading an audience', () => {
    const snapshotNow = async (): Promise<void> => {
      const state = await world.executor.state(CONVERSATION);
      if (state === undefined) throw new Error('no conversation');
      const event = { id: asEventId(uuidv7()), type: 'Snapshot', data: toSnapshot(state, ''), metadata: {} };
      await log.append(snapshotStream(CONVERSATION), [event], { expected: 'any' });
    };

    it('is exact at every seq, on whichever side of it the snapshot lies', async () => {
      await author.start([0, 1, 2]);
      for (let n = 3; n < 12; n++) {
        await author.add(0, n);
        await author.say(n);
        if (n % 2 === 0) await author.remove(0, n - 1);
        if (n === 8) await author.add(0, 3);
        if (n === 7) await snapshotNow();
      }
      const events = await world.recorded(CONVERSATION);
      for (const { seq } of events) {
        const audience = await world.audiences.load(CONVERSATION, seq);
        const upTo = events.filter((event) => event.seq <= seq);
        const expected = Array.from({ length: 12 }, (_, n) => userOf(n)).filter((userId) =>
          isMemberAfter(upTo, userId),
        );
        expect(audience?.members.toArray().sort()).toEqual(expected.sort());
        expect(audience?.seq).toBe(seq);
      }
    });

    it('refuses to guess when the stream does not hold what is needed', async () => {
      await author.start([0, 1]);
      await expect(world.audiences.load(CONVERSATION, 7 as never)).rejects.toThrow('no event');
    });
  });

  it('keeps to membership at each seq while joins, leaves and sends race, warm or cold', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            conversation: fc.integer({ min: 1, max: 2 }),
            act: fc.constantFrom('say', 'add', 'remove', 'read', 'forget', 'pause'),
            user: fc.integer({ min: 1, max: 4 }),
          }),
          { minLength: 5, maxLength: 40 },
        ),
        fc.integer({ min: 1, max: 5 }),
        async (steps, eventsPerSubscription) => {
          const own = new UnreliableLog();
          const node = new DeliveryWorld(own);
          own.eventsPerSubscription = eventsPerSubscription * 4;
          const authors = [1, 2].map((n) => new Author(node, conversationOf(n)));
          const sockets = [0, 1, 2, 3, 4].map((n) => node.connect(userOf(n)));
          await node.feed.start();
          for (const each of authors) await each.start([0, 1]);
          const running: Promise<unknown>[] = [];
          for (const { conversation, act, user } of steps) {
            const one = authors[conversation - 1] as Author;
            if (act === 'say') running.push(one.say(0), one.say(user));
            if (act === 'add') running.push(one.add(0, user));
            if (act === 'remove') running.push(one.remove(0, user));
            if (act === 'read') running.push(one.read(0, 1));
            if (act === 'forget') node.audiences.forget(one.id);
            if (act === 'pause') await Promise.all(running);
          }
          await Promise.all(running);
          await node.settle();
          for (const { id } of authors) {
            const events = await node.recorded(id);
            for (const socket of sockets)
              expect(socket.seqsOf(id)).toEqual(expectedOf(events, socket.userId));
          }
          await node.stop();
        },
      ),
      replayable(40),
    );
  });
});

function isMemberAfter(events: readonly Recorded[], userId: UserId): boolean {
  let isMember = false;
  for (const { event } of events) {
    if (event.type === 'ConversationStarted') isMember = event.memberIds.includes(userId);
    if (event.type !== 'MembershipChanged' || event.userId !== userId) continue;
    if (event.change === 'joined') isMember = true;
    if (event.change === 'left' || event.change === 'removed') isMember = false;
  }
  return isMember;
}
