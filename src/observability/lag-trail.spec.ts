import { fromPlaces, ofShard, type Position } from '../kernel/position';
import { LagTrail, TRAIL_MARKS_MAX } from './lag-trail';

/** Positions as EventStoreDB gives them: rising, in steps that say nothing. */
const at = (n: number): Position => ({ commit: BigInt(n * 137), prepare: BigInt(n * 137) });

function seen(events: number): LagTrail {
  const trail = new LagTrail();
  for (let n = 1; n <= events; n++) trail.see(at(n));
  return trail;
}

describe('LagTrail', () => {
  it.each([0, 1, 40, 99, 100])('counts exactly what lies after event %d of 100', (reached) => {
    expect(seen(100).behind(at(reached))).toBe(100 - reached);
  });

  it('is nothing behind before anything was seen, and for a follower that is ahead', () => {
    expect(new LagTrail().behind(at(0))).toBe(0);
    expect(seen(10).behind(at(50))).toBe(0);
  });

  it('goes on counting from where the follower was', () => {
    const trail = seen(10);
    expect(trail.behind(at(4))).toBe(6);
    for (let n = 11; n <= 15; n++) trail.see(at(n));
    expect(trail.behind(at(4))).toBe(11);
    expect(trail.behind(at(15))).toBe(0);
    trail.see(at(16));
    expect(trail.behind(at(15))).toBe(1);
  });

  it('is exact up to TRAIL_MARKS_MAX events, and stays bounded and nearly exact far beyond', () => {
    expect(seen(TRAIL_MARKS_MAX).behind(at(1))).toBe(TRAIL_MARKS_MAX - 1);
    const events = TRAIL_MARKS_MAX * 20;
    const trail = seen(events);
    const [{ marks }] = (trail as unknown as { trails: [{ marks: unknown[] }] }).trails;
    expect(marks.length).toBeLessThanOrEqual(TRAIL_MARKS_MAX);
    for (const reached of [1, events / 2, events - 10]) {
      const off = Math.abs(trail.behind(at(reached)) - (events - reached));
      expect(off).toBeLessThanOrEqual((2 * events) / TRAIL_MARKS_MAX);
    }
  });

  it('counts each shard by itself, in whatever order their events come', () => {
    const trail = new LagTrail();
    for (let n = 1; n <= 10; n++) trail.see(ofShard(1, at(n)));
    for (let n = 1; n <= 5; n++) trail.see(ofShard(0, at(n)));
    for (let n = 11; n <= 20; n++) trail.see(ofShard(1, at(n)));
    expect(trail.behind(fromPlaces([at(2), at(0)]))).toBe(3 + 20);
    expect(trail.behind(fromPlaces([at(2), at(15)]))).toBe(3 + 5);
    expect(trail.behind(fromPlaces([at(5), at(20)]))).toBe(0);
  });
});
