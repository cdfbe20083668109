import { conversationOf } from '../../test/support/delivery';
import type { InboxHead, MembershipSpan } from '../application/ports/read-models';
import { asMillis, asSeq } from '../kernel/ids';
import { gapOf, planSync, unseenOf } from './sync-plan';

const span = (from: number, to?: number): MembershipSpan => ({
  from: asSeq(from),
  to: to === undefined ? undefined : asSeq(to),
});
const headOf = (
  n: number,
  headSeq: number,
  spans: readonly MembershipSpan[] = [span(0)],
  historyVisibility: 'joined' | 'shared' = 'joined',
): InboxHead => ({
  conversationId: conversationOf(n),
  headSeq: asSeq(headSeq),
  activeAt: asMillis(1_000 - n),
  historyVisibility,
  spans,
});
const cursorsOf = (cursors: Readonly<Record<number, number>>) =>
  new Map(Object.entries(cursors).map(([n, seq]) => [conversationOf(Number(n)), asSeq(seq)]));

describe('gapOf', () => {
  it.each([
    ['behind', headOf(1, 9), 4, { segments: [{ low: 5, high: 9 }], from: 5, upTo: 9 }],
    ['without a cursor', headOf(1, 9), undefined, { segments: [{ low: 0, high: 9 }], from: 0, upTo: 9 }],
    ['beyond the head', headOf(1, 9), 10, { segments: [{ low: 0, high: 9 }], from: 0, beyond: true }],
    ['at the head', headOf(1, 9), 9, { segments: [], upTo: 9, beyond: false }],
    ['joined later', headOf(1, 9, [span(6)]), 2, { segments: [{ low: 6, high: 9 }], from: 3 }],
    [
      'joined later, new device',
      headOf(1, 9, [span(6)]),
      undefined,
      { segments: [{ low: 6, high: 9 }], from: 6 },
    ],
    ['shared', headOf(1, 9, [span(6)], 'shared'), undefined, { segments: [{ low: 0, high: 9 }], from: 0 }],
    [
      'away for a while',
      headOf(1, 20, [span(0, 5), span(9)]),
      2,
      {
        segments: [
          { low: 9, high: 20 },
          { low: 3, high: 5 },
        ],
        removed: false,
      },
    ],
    ['removed', headOf(1, 20, [span(0, 5)]), 2, { segments: [{ low: 3, high: 5 }], upTo: 5, removed: true }],
    ['removed before the cursor', headOf(1, 20, [span(0, 5)]), 7, { segments: [], upTo: 5, removed: true }],
  ])('%s', (_name, head, cursor, expected) => {
    expect(gapOf(head, cursor === undefined ? undefined : asSeq(cursor))).toMatchObject(expected);
  });
});

describe('planSync', () => {
  const heads = [headOf(1, 9), headOf(2, 9), headOf(3, 9, [span(0, 5)]), headOf(4, 9), headOf(5, 9)];
  const idsOf = (cursors: Readonly<Record<number, number>>, recent: number) =>
    planSync(heads, cursorsOf(cursors), recent).map(({ conversationId }) => conversationId);

  it('answers what was left first, then what moved, then the newest unseen', () => {
    expect(idsOf({ 2: 4, 3: 2, 7: 0 }, 2)).toEqual([3, 7, 2, 1, 4].map(conversationOf));
  });

  it('tells of conversations that were left unseen where there is room, up to the leaving', () => {
    expect(idsOf({ 1: 9, 2: 9 }, 3)).toEqual([4, 5, 3].map(conversationOf));
    const left = planSync(heads, cursorsOf({ 1: 9, 2: 9, 4: 9, 5: 9 }), 1);
    expect(left).toMatchObject([{ segments: [{ low: 0, high: 5 }], upTo: 5, removed: true }]);
    expect(planSync(heads, cursorsOf({ 1: 9, 2: 9, 4: 9, 5: 9 }), 0)).toEqual([]);
  });

  it('tells a device nothing again that kept the cursor of what it left', () => {
    const [again] = planSync([headOf(3, 9, [span(0, 5)])], cursorsOf({ 3: 5 }), 9);
    expect(again).toMatchObject({ segments: [], upTo: 5, removed: true });
  });

  it('leaves out what did not move, and unseen ones beyond `recent`', () => {
    expect(idsOf({ 1: 9, 2: 9 }, 1)).toEqual([conversationOf(4)]);
    expect(idsOf({ 1: 9 }, 0)).toEqual([]);
  });

  it('counts only conversations without a cursor as unseen', () => {
    expect(unseenOf(heads, cursorsOf({ 1: 0, 3: 0 }), 2)).toEqual([2, 4].map(conversationOf));
  });
});
