import fc from 'fast-check';
import {
  standsIn,
  comparePositions,
  formatPosition,
  fromPlaces,
  furthest,
  hasPassed,
  nearest,
  ofShard,
  parsePosition,
  placeIn,
  POSITION_START,
  shardOf,
  type Position,
} from './position';

const at = (commit: number, prepare = commit): Position => ({
  commit: BigInt(commit),
  prepare: BigInt(prepare),
});
const several = (...commits: readonly number[]): Position => fromPlaces(commits.map((commit) => at(commit)));

/** Of one to four shards: positions of lists of different lengths meet when a shard is added. */
const positions = fc
  .array(fc.integer({ min: -1, max: 5 }), { minLength: 1, maxLength: 4 })
  .map((commits) => several(...commits));

describe('a position in one store', () => {
  it('is written as it always was, and read again', () => {
    expect(formatPosition(at(7, 5))).toBe('7/5');
    expect(parsePosition('7/5')).toEqual(at(7, 5));
    expect(Object.keys(parsePosition('7/5'))).toEqual(['commit', 'prepare']);
    expect(formatPosition(POSITION_START)).toBe('-1/-1');
    expect(parsePosition('-1/-1')).toEqual(POSITION_START);
  });

  it.each(['', '7', '7/', '/5', '7/5,', ',7/5', '7/5 ', '7/5;8/8', 'x/y'])('is not "%s"', (text) => {
    expect(() => parsePosition(text)).toThrow(SyntaxError);
  });

  it('is ordered by commit, then by prepare', () => {
    expect(comparePositions(at(1), at(2))).toBe(-1);
    expect(comparePositions(at(2, 1), at(2, 0))).toBe(1);
    expect(comparePositions(at(2), at(2))).toBe(0);
    expect([hasPassed(at(2), at(2)), hasPassed(at(2, 1), at(2))]).toEqual([true, false]);
    expect([furthest(at(1), at(2)), nearest(at(1), at(2))]).toEqual([at(2), at(1)]);
  });
});

describe('a position in several shards', () => {
  it('is written with commas, and read again', () => {
    expect(formatPosition(several(7, -1, 3))).toBe('7/7,-1/-1,3/3');
    fc.assert(
      fc.property(positions, (position) => {
        expect(parsePosition(formatPosition(position))).toEqual(position);
      }),
    );
  });

  it('has been passed when it has been in every shard', () => {
    expect(hasPassed(several(5, 5), several(5, 5))).toBe(true);
    expect(hasPassed(several(9, 4), several(5, 5))).toBe(false);
    expect(hasPassed(several(4, 9), several(5, 5))).toBe(false);
  });

  it('stands in a shard in which it has not moved, and something is to come', () => {
    expect(standsIn(several(9, 2), several(5, 2), several(7, 4))).toBe(true);
    expect(standsIn(several(9, 3), several(5, 2), several(7, 4))).toBe(false);
    expect(standsIn(several(9, 4), several(5, 4), several(7, 4))).toBe(false);
    expect(standsIn(at(5), at(4), at(9))).toBe(false);
  });

  it('of fewer shards is at the start of the others: a store that is added changes no position', () => {
    expect(hasPassed(at(5), several(5, 0))).toBe(false);
    expect(hasPassed(several(5, -1), at(5))).toBe(true);
    expect(hasPassed(at(5), several(5, -1))).toBe(true);
    expect(placeIn(at(5), 1)).toBe(POSITION_START);
  });

  it('of an event lies in its own shard alone', () => {
    for (const shard of [0, 1, 2]) {
      const event = ofShard(shard, at(4));
      expect(shardOf(event)).toBe(shard);
      expect(placeIn(event, shard)).toMatchObject(at(4));
      expect(hasPassed(ofShard(shard, at(4)), event)).toBe(true);
      expect(hasPassed(ofShard((shard + 1) % 3, at(9)), event)).toBe(false);
    }
    expect(ofShard(0, at(4))).toEqual(at(4));
  });

  it('is joined to what has passed exactly both, and met by what both have passed', () => {
    fc.assert(
      fc.property(positions, positions, positions, (a, b, goal) => {
        for (const one of [a, b]) {
          expect(hasPassed(furthest(a, b), one)).toBe(true);
          expect(hasPassed(one, nearest(a, b))).toBe(true);
        }
        const joined = hasPassed(goal, a) && hasPassed(goal, b);
        expect(hasPassed(goal, furthest(a, b))).toBe(joined);
        const met = hasPassed(a, goal) && hasPassed(b, goal);
        expect(hasPassed(nearest(a, b), goal)).toBe(met);
      }),
    );
  });
});
