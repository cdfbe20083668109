import fc from 'fast-check';
import { List } from 'immutable';
import { replayable } from '../../../test/support/replayable';
import { asSeq } from '../../kernel/ids';
import { isDeleted, withDeleted, type DeletedRanges } from './deleted-ranges';

const deleting = (seqs: readonly number[], max = 1_000): DeletedRanges =>
  seqs.reduce<DeletedRanges>((ranges, seq) => withDeleted(ranges, asSeq(seq), max), List());

describe('ranges of deleted messages', () => {
  it('grow and join', () => {
    expect(deleting([5, 9, 7]).toArray()).toEqual([
      [5, 5],
      [7, 7],
      [9, 9],
    ]);
    expect(deleting([5, 6, 4]).toArray()).toEqual([[4, 6]]);
    expect(deleting([5, 7, 6]).toArray()).toEqual([[5, 7]]);
    expect(deleting([5, 6, 5]).toArray()).toEqual([[5, 6]]);
  });

  it('know every deletion and no other, and stay ascending and apart', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(60), { maxLength: 60 }), (seqs) => {
        const ranges = deleting(seqs);
        for (let seq = 0; seq <= 61; seq += 1) expect(isDeleted(ranges, asSeq(seq))).toBe(seqs.includes(seq));
        ranges.forEach(([from, to], at) => {
          expect(from).toBeLessThanOrEqual(to);
          expect(from).toBeGreaterThan((at === 0 ? -2 : (ranges.get(at - 1)?.[1] ?? -2)) + 1);
        });
      }),
      replayable(300),
    );
  });

  it('forget the lowest when there are too many', () => {
    expect(deleting([2, 8, 5], 3).size).toBe(3);
    expect(deleting([2, 8, 5, 11], 3).toArray()).toEqual([
      [5, 5],
      [8, 8],
      [11, 11],
    ]);
  });
});
