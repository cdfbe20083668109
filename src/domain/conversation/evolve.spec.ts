import {
  ANNA,
  atSeq,
  BEN,
  CONVERSATION,
  groupStarted,
  membership,
  recorded,
  sent,
  stateAfter,
} from '../../../test/support/given-conversation';
import { asDeviceId, asSeq, asUserId } from '../../kernel/ids';
import { conversationDecider } from './decide';
import type { ConversationEvent } from './events';
import { evolve } from './evolve';
import { deliveredKey } from './keys';
import { MEMBERS_MAX, type ConversationState } from './state';

const at = (seq: number, event: ConversationEvent) => ({
  conversationId: CONVERSATION,
  seq: asSeq(seq),
  at: atSeq(seq),
  event,
});

describe('evolving', () => {
  it('begins with the start', () => {
    expect(conversationDecider.initial).toBeUndefined();
    expect(stateAfter([groupStarted({ title: 'Tea' })])).toMatchObject({
      conversationId: CONVERSATION,
      kind: 'group',
      title: 'Tea',
      createdAt: atSeq(0),
      head: 0,
      lastOrdinal: 0,
    });
  });

  it('moves the head with every event', () => {
    const events = [groupStarted(), sent(ANNA, 1), membership(ANNA, BEN, 'removed')];
    expect(recorded(events).map((_, seq) => stateAfter(events.slice(0, seq + 1))?.head)).toEqual([0, 1, 2]);
  });

  it('goes no further when an event is missing, repeated, or out of place', () => {
    const state = stateAfter([groupStarted(), sent(ANNA, 1)]);
    expect(() => evolve(state, at(3, sent(ANNA, 2)))).toThrow('not the one after 1');
    expect(() => evolve(state, at(1, sent(ANNA, 1)))).toThrow('not the one after 1');
    expect(() => evolve(state, at(2, groupStarted()))).toThrow('only begins a stream');
    expect(() => evolve(undefined, at(0, sent(ANNA, 1)))).toThrow('no event to begin a stream');
    expect(() => evolve(undefined, at(1, groupStarted()))).toThrow('only begins a stream');
  });

  it('never takes a cursor back, whatever the log says', () => {
    const cursors = (upTo: number) => [{ userId: BEN, deviceId: asDeviceId('phone'), upTo: asSeq(upTo) }];
    const delivered = (upTo: number): ConversationEvent => ({
      type: 'MessageDelivered',
      by: BEN,
      cursors: cursors(upTo),
      audience: 'everyone',
    });
    const read = (upTo: number): ConversationEvent => ({
      type: 'MessageRead',
      by: BEN,
      cursors: cursors(upTo),
      audience: 'everyone',
    });
    const state = stateAfter([groupStarted(), sent(ANNA, 1), delivered(1), read(1), delivered(0), read(0)]);
    expect(state?.members.get(BEN)?.readUpTo).toBe(1);
    expect(state?.delivered.get(deliveredKey(BEN, asDeviceId('phone')))).toBe(1);
  });

  it('costs the change, not the group: a thousand members share all but one', () => {
    const memberIds = Array.from({ length: MEMBERS_MAX }, (_, index) => asUserId(`user-${index}`));
    const before = stateAfter([groupStarted({ memberIds })]) as ConversationState;
    const after = evolve(before, at(1, sent(memberIds[0] ?? ANNA, 1)));
    const kept = memberIds.filter((userId) => before.members.get(userId) === after.members.get(userId));
    expect(kept).toHaveLength(MEMBERS_MAX - 1);
    expect(after.delivered).toBe(before.delivered);
    expect(after.deleted).toBe(before.deleted);
  });
});
