import fc from 'fast-check';
import type { ConversationEvent, Recorded } from '../domain/conversation/events';
import { CONVERSATION_EVENT_TYPES } from '../domain/conversation/events';
import {
  asClientMessageId,
  asConversationId,
  asDeviceId,
  asFileId,
  asMessageId,
  asMillis,
  asOrdinal,
  asSeq,
  asUserId,
} from '../kernel/ids';
import { EVENT_FRAMES } from '../protocol/events';
import { compile } from '../protocol/validation';
import { toEventFrame } from './event-frame';

const id = fc.uuid();
const user = id.map(asUserId);
const seq = fc.nat().map(asSeq);
const optional = (fields: Record<string, fc.Arbitrary<unknown>>) => fc.record(fields, { requiredKeys: [] });
const text = fc.constantFrom('hello', '😀', '<b>', "'; DROP TABLE x");
const content = text.map((body) => ({ type: 'text', body }));
const cursor = fc.record({ userId: user, upTo: seq });
const deviceCursor = fc.record({
  userId: user,
  deviceId: fc.constantFrom('phone', 'desk').map(asDeviceId),
  upTo: seq,
});
const audience = fc.constantFrom('everyone', 'concerned');
const settings = optional({
  historyVisibility: fc.constantFrom('joined', 'shared'),
  whoMayPost: fc.constantFrom('everyone', 'admins'),
});

const join = (
  required: Record<string, fc.Arbitrary<unknown>>,
  extra: Record<string, fc.Arbitrary<unknown>> = {},
): fc.Arbitrary<ConversationEvent> =>
  fc
    .tuple(fc.record({ by: user, ...required }), optional(extra))
    .map(([one, other]) => ({ ...one, ...other }) as unknown as ConversationEvent);

const type = (name: ConversationEvent['type']) => fc.constant(name);

const anyEvent: Record<ConversationEvent['type'], fc.Arbitrary<ConversationEvent>> = {
  ConversationStarted: join(
    {
      type: type('ConversationStarted'),
      kind: fc.constantFrom('direct', 'group'),
      memberIds: fc.array(user, { minLength: 1, maxLength: 4 }),
    },
    { title: text, settings },
  ),
  ConversationChanged: join(
    { type: type('ConversationChanged') },
    { title: text, description: text, avatarFileId: id.map(asFileId), settings },
  ),
  MembershipChanged: join(
    {
      type: type('MembershipChanged'),
      userId: user,
      change: fc.constantFrom('joined', 'left', 'removed', 'roleChanged', 'blocked', 'unblocked'),
    },
    { role: fc.constantFrom('owner', 'admin', 'member') },
  ),
  MessageSent: join(
    {
      type: type('MessageSent'),
      messageId: id.map(asMessageId),
      clientMessageId: id.map(asClientMessageId),
      ordinal: fc.integer({ min: 1 }).map(asOrdinal),
      content,
      contentHash: fc.constant('c'.repeat(64)),
    },
    {
      replyTo: seq,
      threadOf: seq,
      forwardedFrom: fc.record({ conversationId: id, seq }),
      mentions: fc.array(user, { maxLength: 3 }),
      expiresAt: fc.constant('2026-01-01T00:00:00.000Z'),
      originalAt: fc.constant('2010-01-01T00:00:00.000Z'),
    },
  ),
  MessageEdited: join({ type: type('MessageEdited'), target: seq, content, version: fc.integer({ min: 2 }) }),
  MessageDeleted: join({ type: type('MessageDeleted'), target: seq }),
  ReactionChanged: join({
    type: type('ReactionChanged'),
    target: seq,
    emoji: fc.constant('👍'),
    change: fc.constantFrom('added', 'removed'),
  }),
  MessageDelivered: join({
    type: type('MessageDelivered'),
    cursors: fc.array(deviceCursor, { maxLength: 3 }),
    audience,
  }),
  MessageRead: join({ type: type('MessageRead'), cursors: fc.array(cursor, { maxLength: 3 }), audience }),
};

const recordedOf = (event: fc.Arbitrary<ConversationEvent>): fc.Arbitrary<Recorded> =>
  fc.record({
    conversationId: id.map(asConversationId),
    seq,
    at: fc.integer({ min: 0, max: 4_102_444_800_000 }).map(asMillis),
    event,
  });

describe('toEventFrame', () => {
  it.each(CONVERSATION_EVENT_TYPES)(
    'makes a frame of %s that keeps its schema, and no field beside',
    (name) => {
      const frames = new Set<string>();
      fc.assert(
        fc.property(recordedOf(anyEvent[name]), (recorded) => {
          const frame = toEventFrame(recorded);
          frames.add(frame.event);
          const schema = EVENT_FRAMES[frame.event];
          const wire: unknown = JSON.parse(JSON.stringify(frame.data));
          expect(compile(schema).errors(wire)).toEqual([]);
          expect(Object.keys(schema.properties)).toEqual(expect.arrayContaining(Object.keys(wire as object)));
        }),
        { numRuns: 40 },
      );
      expect(frames.size).toBe(1);
    },
  );

  it('keeps every field that the sender chose', () => {
    const recorded = fc.sample(recordedOf(anyEvent.MessageSent), { numRuns: 50, seed: 7 });
    for (const each of recorded) {
      const {
        type: _type,
        contentHash: _hash,
        ...fields
      } = each.event as ConversationEvent & { type: 'MessageSent' };
      expect(toEventFrame(each).data).toEqual({
        ...fields,
        conversationId: each.conversationId,
        seq: each.seq,
        at: new Date(each.at).toISOString(),
      });
    }
  });

  it('names the frame after the event', () => {
    const names = CONVERSATION_EVENT_TYPES.map((name) => {
      const [recorded] = fc.sample(recordedOf(anyEvent[name]), 1);
      return toEventFrame(recorded as Recorded).event;
    });
    expect(names).toEqual(Object.keys(EVENT_FRAMES));
  });
});
