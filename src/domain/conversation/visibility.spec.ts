import fc from 'fast-check';
import { ANNA, atSeq, BEN, CARA, CONVERSATION, groupStarted } from '../../../test/support/given-conversation';
import { replayable } from '../../../test/support/replayable';
import { asDeviceId, asSeq } from '../../kernel/ids';
import type { ConversationEvent, Recorded } from './events';
import { pack } from './packed-cursors';
import { mayRead, seenBy, visibleRanges, type SeqSpan } from './visibility';

const span = (from: number, to?: number): SeqSpan => ({
  from: asSeq(from),
  to: to === undefined ? undefined : asSeq(to),
});
const readable = (ranges: readonly SeqSpan[], head: number): number[] =>
  Array.from({ length: head + 1 }, (_, seq) => seq).filter((seq) => mayRead(ranges, asSeq(seq)));

describe('what one may read', () => {
  const cameBack = [span(2, 4), span(7)];
  const left = [span(2, 4)];

  it('is with `joined` the times of membership, first and last event included', () => {
    expect(readable(visibleRanges(cameBack, 'joined'), 9)).toEqual([2, 3, 4, 7, 8, 9]);
    expect(readable(visibleRanges(left, 'joined'), 9)).toEqual([2, 3, 4]);
  });

  it('is with `shared` all there is for a member, and all up to the leaving for others', () => {
    expect(readable(visibleRanges(cameBack, 'shared'), 9)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(readable(visibleRanges(left, 'shared'), 9)).toEqual([0, 1, 2, 3, 4]);
  });

  it('is nothing for somebody who never was a member', () => {
    expect(visibleRanges([], 'joined')).toEqual([]);
    expect(visibleRanges([], 'shared')).toEqual([]);
  });

  it('never ends later than the last membership, and always holds the times of membership', () => {
    const spans = fc
      .tuple(fc.uniqueArray(fc.nat(50), { minLength: 2, maxLength: 8 }), fc.boolean())
      .map(([seqs, open]) => {
        const sorted = seqs.sort((a, b) => a - b);
        const pairs = sorted.slice(0, sorted.length - (sorted.length % 2));
        const closed = Array.from({ length: pairs.length / 2 }, (_, at) =>
          span(pairs[2 * at] ?? 0, pairs[2 * at + 1]),
        );
        return open ? [...closed, span(60)] : closed;
      });
    fc.assert(
      fc.property(spans, fc.constantFrom('joined', 'shared'), (times, visibility) => {
        const seqs = readable(visibleRanges(times, visibility), 70);
        expect(seqs).toEqual(expect.arrayContaining(readable(times, 70)));
        expect(Math.max(...seqs)).toBe(times.at(-1)?.to ?? 70);
        if (visibility === 'joined') expect(seqs).toEqual(readable(times, 70));
      }),
      replayable(200),
    );
  });
});

describe('what one sees of an event', () => {
  const at = (event: ConversationEvent): Recorded => ({
    conversationId: CONVERSATION,
    seq: asSeq(5),
    at: atSeq(5),
    event,
  });
  const cursors = [ANNA, BEN].map((userId) => ({ userId, upTo: asSeq(3) }));
  const [annas, bens] = cursors;
  const read = { type: 'MessageRead', by: ANNA, cursors } as const;
  const delivered = {
    type: 'MessageDelivered',
    by: ANNA,
    cursors: cursors.map((cursor) => ({ ...cursor, deviceId: asDeviceId('phone') })),
  } as const;

  it("is the event itself for whatever is no receipt, and for receipts that are everyone's", () => {
    for (const event of [groupStarted(), { ...read, audience: 'everyone' } as const]) {
      expect(seenBy(at(event), CARA)).toEqual(at(event));
    }
  });

  it("are one's own cursors where receipts are for those concerned", () => {
    expect(seenBy(at({ ...read, audience: 'concerned' }), BEN)?.event).toEqual({
      ...read,
      by: BEN,
      audience: 'concerned',
      cursors: [bens],
    });
    expect(seenBy(at({ ...delivered, audience: 'concerned' }), ANNA)?.event).toMatchObject({
      by: ANNA,
      cursors: [annas],
    });
  });

  it("are one's own cursor of the packed ones that were read, and nothing of what was delivered", () => {
    const packed = pack([
      { user: 0x00000b, upTo: asSeq(4) },
      { user: 0x00000c, upTo: asSeq(5) },
    ]);
    const event = { ...read, cursors: [], audience: 'concerned', packed } as const;
    expect(seenBy(at(event), BEN)?.event).toEqual({
      type: 'MessageRead',
      by: BEN,
      audience: 'concerned',
      cursors: [{ userId: BEN, upTo: 4 }],
    });
    expect(seenBy(at(event), ANNA)).toBeUndefined();
    const all = pack([{ user: 0x00000b, device: 1, upTo: asSeq(4) }]);
    expect(seenBy(at({ ...delivered, audience: 'concerned', packed: all }), ANNA)).toBeUndefined();
    expect(seenBy(at({ ...delivered, audience: 'concerned', packed: all }), BEN)).toBeUndefined();
  });

  it("is nothing when none of those cursors is one's own", () => {
    expect(seenBy(at({ ...read, audience: 'concerned' }), CARA)).toBeUndefined();
    expect(seenBy(at({ ...delivered, audience: 'concerned' }), CARA)).toBeUndefined();
  });
});
