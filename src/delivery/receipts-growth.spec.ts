import { randomUUID } from 'node:crypto';
import { conversationOf, DeliveryWorld } from '../../test/support/delivery';
import type { LogEvent } from '../application/ports/event-log';
import type { ConversationCommand } from '../domain/conversation/commands';
import { conversationStream } from '../domain/conversation/streams';
import { asClientMessageId, asDeviceId, asMessageId, asSeq, asUserId, type UserId } from '../kernel/ids';
import { uuidv7 } from '../kernel/uuid';
import { DELIVERED_PATIENCE_MS, DELIVERED_QUIET_MS, LARGE_WINDOW_MS, ReceiptAggregator } from './receipts';

const ONE = conversationOf(1);
const MESSAGES = 3;

/** What one message to an online group adds to the log (docs/adr/0017). A receipt in full would be 100 bytes. */
const LIMITS = [
  { members: 2, events: 3, bytes: 2_000 },
  { members: 32, events: 3, bytes: 8_000 },
  { members: 33, events: 3, bytes: 3_000 },
  { members: 1_000, events: 4, bytes: 16_384 },
];

const bytesOf = ({ type, data, metadata }: LogEvent): number =>
  Buffer.byteLength(type) +
  Buffer.byteLength(JSON.stringify(data)) +
  Buffer.byteLength(JSON.stringify(metadata));

describe('the log', () => {
  let world: DeliveryWorld;
  let receipts: ReceiptAggregator;
  let now: number;

  beforeEach(() => {
    world = new DeliveryWorld();
    receipts = new ReceiptAggregator(world.executor, world.clock, world.metrics);
    now = performance.now();
    jest.spyOn(performance, 'now').mockImplementation(() => now);
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    receipts.stop();
    await world.stop();
  });

  const group = async (size: number): Promise<{ members: UserId[]; devices: Map<UserId, string> }> => {
    const members = Array.from({ length: size }, () => asUserId(uuidv7()));
    await execute({ type: 'StartConversation', by: members[0], kind: 'group', memberIds: members });
    return { members, devices: new Map(members.map((userId) => [userId, randomUUID()])) };
  };
  const execute = (command: object): Promise<unknown> =>
    world.executor.execute({ conversationId: ONE, at: world.clock.now(), ...command } as ConversationCommand);
  const say = async (by: UserId): Promise<number> => {
    const clientMessageId = asClientMessageId(uuidv7());
    const content = { type: 'text', body: 'x'.repeat(64) };
    const messageId = asMessageId(uuidv7());
    await execute({
      type: 'SendMessage',
      by,
      clientMessageId,
      messageId,
      content,
      contentHash: 'h'.repeat(64),
    });
    return (await world.recorded(ONE)).length - 1;
  };
  const stored = async (from: number): Promise<readonly LogEvent[]> => {
    const read = await world.log.readStream(conversationStream(ONE), {
      from: BigInt(from) as never,
      limit: 100,
    });
    return read.kind === 'events' ? read.events : [];
  };
  /** What the timer does at the end of a window, at a time of our choosing. */
  const endWindow = async (afterMs: number): Promise<void> => {
    now += afterMs;
    const { pending } = receipts as unknown as { pending: Map<unknown, { timer: NodeJS.Timeout }> };
    for (const [id, one] of pending) {
      clearTimeout(one.timer);
      (receipts as unknown as { endWindow(id: unknown, pending: unknown): void }).endWindow(id, one);
    }
    for (const one of pending.values()) await (one as unknown as { writing?: Promise<void> }).writing;
  };

  it.each(LIMITS)('grows by $events events and $bytes bytes a message at $members members', async (limit) => {
    const { members, devices } = await group(limit.members);
    for (let n = 0; n < MESSAGES; n++) {
      const author = members[n % members.length] as UserId;
      const seq = asSeq(await say(author));
      for (const userId of members) {
        await receipts.delivered(userId, asDeviceId(devices.get(userId) as string), { [ONE]: seq });
        if (userId !== author) await receipts.read(userId, ONE, seq);
      }
      await receipts.flush();
      const events = await stored(seq);
      const bytes = events.reduce((sum, event) => sum + bytesOf(event), 0);
      expect(events.length).toBeLessThanOrEqual(limit.events);
      expect(bytes).toBeLessThanOrEqual(limit.bytes);
      // Fewer would mean that somebody was left out.
      const state = await world.executor.state(ONE, asSeq(seq + events.length - 1));
      expect(state?.members.every(({ readUpTo }) => readUpTo >= seq)).toBe(true);
      expect(state?.delivered.size).toBe(limit.members);
    }
  });

  it('grows by four events when the acknowledgements of a large group come over two windows', async () => {
    const { members, devices } = await group(200);
    const [author] = members as [UserId];
    const seq = asSeq(await say(author));
    const answer = async (some: readonly UserId[]): Promise<void> => {
      for (const userId of some) {
        await receipts.delivered(userId, asDeviceId(devices.get(userId) as string), { [ONE]: seq });
        await receipts.read(userId, ONE, seq);
      }
    };
    await answer(members.slice(0, 100));
    now += LARGE_WINDOW_MS - 100;
    await answer(members.slice(100, 150));
    await endWindow(100);
    expect((await stored(seq)).map(({ type }) => type)).toEqual(['MessageSent', 'MessageRead']);
    await answer(members.slice(150));
    await endWindow(DELIVERED_QUIET_MS);
    expect((await stored(seq)).map(({ type }) => type).sort()).toEqual([
      'MessageDelivered',
      'MessageRead',
      'MessageRead',
      'MessageSent',
    ]);
    expect(receipts.size).toBe(0);
  });

  it('does not wait for ever for the last of the devices', async () => {
    const { members, devices } = await group(60);
    const seq = asSeq(await say(members[0] as UserId));
    for (let n = 1; n < 60; n++) {
      const userId = members[n] as UserId;
      await receipts.delivered(userId, asDeviceId(devices.get(userId) as string), { [ONE]: seq });
      const waited = 100 * (n - 1);
      await endWindow(100);
      const written = (await stored(seq)).length > 1;
      expect(written).toBe(waited + 100 >= DELIVERED_PATIENCE_MS);
      if (written) return;
    }
    throw new Error('never written');
  });
});
