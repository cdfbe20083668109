import { conversationOf, userOf } from '../../test/support/delivery';
import type { ConversationEvent, Recorded } from '../domain/conversation/events';
import { asMillis, asSeq } from '../kernel/ids';
import { plan } from './plan';

const recordedOf = (event: ConversationEvent): Recorded => ({
  conversationId: conversationOf(1),
  seq: asSeq(3),
  at: asMillis(0),
  event,
});
const deleted = recordedOf({ type: 'MessageDeleted', by: userOf(1), target: asSeq(0) });
const cursors = [1, 2, 3].map((n) => ({ userId: userOf(n), upTo: asSeq(n) }));
const everybody = [1, 2, 3, 4].map(userOf);

describe('plan', () => {
  it('gives the whole event, once, to the receivers who are connected', () => {
    const connected = new Set([userOf(2), userOf(4), userOf(9)]);
    expect(plan(deleted, everybody, (userId) => connected.has(userId))).toEqual([
      { recorded: deleted, userIds: [userOf(2), userOf(4)] },
    ]);
  });

  it('plans nothing when nobody is here', () => {
    expect(plan(deleted, everybody, () => false)).toEqual([]);
  });

  it('gives receipts for everyone whole', () => {
    const read = recordedOf({ type: 'MessageRead', by: userOf(1), cursors, audience: 'everyone' });
    expect(plan(read, everybody, () => true)).toEqual([{ recorded: read, userIds: everybody }]);
  });

  it('cuts receipts of a large group to the cursors of each one', () => {
    const read = recordedOf({ type: 'MessageRead', by: userOf(1), cursors, audience: 'concerned' });
    const connected = new Set([userOf(2), userOf(3), userOf(4)]);
    const variants = plan(read, everybody, (userId) => connected.has(userId));
    expect(variants.map(({ userIds }) => userIds)).toEqual([[userOf(2)], [userOf(3)]]);
    for (const { recorded, userIds } of variants) {
      const own = cursors.filter(({ userId }) => userIds.includes(userId));
      expect(recorded.event).toMatchObject({ by: userIds[0], cursors: own });
    }
  });
});
