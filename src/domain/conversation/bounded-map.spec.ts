import { BoundedMap } from './bounded-map';

describe('BoundedMap', () => {
  it('holds as many as it may, and lets the first in go first', () => {
    const full = BoundedMap.of<string, number>(2, [
      ['a', 1],
      ['b', 2],
    ]);
    const { map, evicted } = full.set('c', 3);
    expect(map.entries()).toEqual([
      ['b', 2],
      ['c', 3],
    ]);
    expect(evicted).toEqual(['a', 1]);
    expect(full.size).toBe(2);
    expect(map.has('a')).toBe(false);
  });

  it('keeps a key in its place when it is set again', () => {
    const map = BoundedMap.of<string, number>(2, [
      ['a', 1],
      ['b', 2],
    ]);
    const again = map.set('a', 3);
    expect(again.evicted).toBeUndefined();
    expect(again.map.set('c', 4).evicted).toEqual(['a', 3]);
  });

  it('never changes what was', () => {
    const empty = BoundedMap.empty<string, number>(1);
    empty.set('a', 1);
    expect(empty.size).toBe(0);
    expect(empty.get('a')).toBeUndefined();
  });
});
