import {
  ANNA,
  BEN,
  CARA,
  CONVERSATION,
  DORA,
  directStarted,
  groupStarted,
  membership,
  recorded,
  sent,
  stateAfter,
} from '../../../test/support/given-conversation';
import { asDeviceId, asSeq } from '../../kernel/ids';
import { audienceOf, evolveAudience, receivers, type Audience } from './audience';
import type { ConversationEvent, Recorded } from './events';

/** Who receives each of the events, in the order of the log. */
function received(...events: readonly ConversationEvent[]): readonly (readonly string[])[] {
  let audience: Audience | undefined;
  return recorded(events).map((event) => {
    const before = audience;
    audience = evolveAudience(before, event);
    return receivers(before, audience, event).toArray().sort();
  });
}

const last = (...events: readonly ConversationEvent[]) => received(...events).at(-1);

describe('who receives an event', () => {
  it('are the members', () => {
    expect(last(groupStarted())).toEqual([ANNA, BEN, CARA]);
    expect(last(groupStarted(), sent(BEN, 1))).toEqual([ANNA, BEN, CARA]);
    expect(last(directStarted(), membership(ANNA, BEN, 'blocked'))).toEqual([ANNA, BEN]);
  });

  it('includes the joiner from the joining on', () => {
    const group = groupStarted({ memberIds: [ANNA] });
    expect(received(group, sent(ANNA, 1), membership(ANNA, BEN, 'joined', 'member'), sent(ANNA, 2))).toEqual([
      [ANNA],
      [ANNA],
      [ANNA, BEN],
      [ANNA, BEN],
    ]);
  });

  it.each(['left', 'removed'] as const)('includes the one who %s once more, and nothing after', (change) => {
    expect(received(groupStarted(), membership(ANNA, BEN, change), sent(ANNA, 1))).toEqual([
      [ANNA, BEN, CARA],
      [ANNA, BEN, CARA],
      [ANNA, CARA],
    ]);
  });

  it('does not include who gave a role away, twice or less: roles change no membership', () => {
    expect(last(groupStarted(), membership(ANNA, BEN, 'roleChanged', 'admin'))).toEqual([ANNA, BEN, CARA]);
  });

  it('are for receipts of large groups those concerned who still are members', () => {
    const cursors = [BEN, CARA, DORA].map((userId) => ({
      userId,
      deviceId: asDeviceId('phone'),
      upTo: asSeq(0),
    }));
    const delivered = { type: 'MessageDelivered', by: BEN, cursors, audience: 'concerned' } as const;
    const read = { ...delivered, type: 'MessageRead' } as const;
    const gone = membership(ANNA, CARA, 'removed');
    expect(last(groupStarted(), gone, delivered)).toEqual([BEN]);
    expect(last(groupStarted(), gone, read)).toEqual([BEN]);
    expect(last(groupStarted(), gone, { ...read, audience: 'everyone' })).toEqual([ANNA, BEN]);
  });
});

describe('folding an audience', () => {
  const event = (seq: number, body: ConversationEvent): Recorded => ({
    ...(recorded([body])[0] as Recorded),
    seq: asSeq(seq),
  });

  it('can begin at a state', () => {
    const events = [groupStarted(), membership(ANNA, BEN, 'removed')];
    const state = stateAfter(events);
    if (state === undefined) throw new Error('no state');
    const folded = recorded(events).reduce<Audience | undefined>(
      (audience, next) => evolveAudience(audience, next),
      undefined,
    );
    const begun = audienceOf(state);
    expect(begun).toMatchObject({ conversationId: CONVERSATION, kind: 'group', seq: 1 });
    expect(begun.members.equals((folded as Audience).members)).toBe(true);
  });

  it('takes a repeated event for what it is, and a missing one for a bug', () => {
    const audience = evolveAudience(undefined, event(0, groupStarted()));
    const gone = evolveAudience(audience, event(1, membership(ANNA, BEN, 'removed')));
    expect(evolveAudience(gone, event(0, groupStarted()))).toBe(gone);
    expect(() => evolveAudience(gone, event(3, sent(ANNA, 1)))).toThrow('what follows 1');
    expect(() => evolveAudience(undefined, event(3, sent(ANNA, 1)))).toThrow('without the start');
  });
});
